# Thin: every recipe is a plain go command.

# the main job: learn digits
mnist:
    go run ./experiments/mnist

# the same in half a minute
quick:
    CMF_PRESET=quick go run ./experiments/mnist

test:
    go test ./...

race:
    go test -race -short ./graph/... ./solvers/... ./layers ./losses

lint:
    go vet ./...
    go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...

bench:
    go test -run '^$' -bench . ./graph/... ./solvers/...

# retrain the network in whose features digits are compared
classifier:
    go run ./experiments/classifier

# rewrite the committed assembly
generate:
    go generate ./graph/...
