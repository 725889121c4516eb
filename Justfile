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
    go test -race -short ./graph/... ./solvers/... ./layers ./losses ./experiments/run ./experiments/watch ./experiments/sweep

# ten minutes of fuzzing, such as just fuzz ./data/table FuzzArrow; to make inputs smaller would
# end the process that fuzzes for each
fuzz package target:
    go test -run '^$' -fuzz '^{{target}}$' -fuzztime 10m -fuzzminimizetime 0s -parallel 1 {{package}}

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

# give the module another path, such as example.org/you/cmf, and build it
rename path:
    go mod edit -module {{path}}
    grep -rlZ --include='*.go' 'cmf/' . | xargs -0 perl -pi -e 's|(?<![\w./])cmf/(?=[a-z])|{{path}}/|g'
    gofmt -w data experiments graph layers losses solvers
    go build ./...
