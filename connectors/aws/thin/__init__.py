"""Services that are offered thinly: inputs, outputs and how they are put into AWS's words, one module a service. `connectors.aws.operations` has
the table that makes activities of them."""
