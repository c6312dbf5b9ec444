# The targets that people and CI call. Those that swap for real need root.
GO ?= go

.PHONY: build test race invariants model vet ci fmt

build: ## the one binary
	$(GO) build -o zswapd ./cmd/zswapd

test: ## everything, real swap included when root
	$(GO) test ./...

race: ## under the race detector; the arena is then Go memory
	$(GO) test -race ./...

invariants: ## with the costly checks compiled in
	$(GO) test -tags invariants ./zsmalloc ./zpool

model: ## the pin's protocol, searched exhaustively; needs spin
	zsmalloc/model/check

vet:
	$(GO) vet ./...
	$(GO) vet -tags invariants ./zsmalloc ./zpool
	$(GO) tool staticcheck ./...
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }

fmt:
	gofmt -w .

ci:
	.ci/run
