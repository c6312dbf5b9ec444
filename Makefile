# The targets that people and CI call. Those that swap for real need root.
GO ?= go

.PHONY: build test race invariants procs crashes guest model vet ci fmt

build: ## the one binary; without cgo, so that capabilities can be dropped
	CGO_ENABLED=0 $(GO) build -o zswapd ./cmd/zswapd

test: ## everything, real swap included when root
	$(GO) test ./...

race: ## under the race detector; the arena is then Go memory. Tests of cmd run the program as it is built, without the detector
	$(GO) test -race -timeout 30m $$($(GO) list ./... | grep -v /cmd/ | sort -r) # zpool takes longest: it begins first

invariants: ## with the costly checks compiled in, and hooks at which tests stop and kill
	$(GO) test -tags invariants ./zsmalloc ./zpool

procs: ## both, as they run on 1, 2 and 8 CPUs
	$(GO) test -cpu 1,8 -skip '^TestCrash' ./zsmalloc ./zpool
	$(GO) test -tags invariants -cpu 1,2,8 -skip '^(TestCrash|TestInterleaved$$)' ./zsmalloc ./zpool
	$(GO) test -tags invariants -cpu 1,8 -run '^TestInterleaved$$' ./zpool # it goes step by step, and takes long

crashes: ## some thousand killed processes: at random moments, and at each step
	$(GO) test ./zpool -run '^TestCrash$$' -crashes 2000
	$(GO) test -tags invariants ./zpool -run '^TestCrashAtEachStep$$' -timeout 20m -step-crashes 5

guest: ## the whole machine short of memory, in virtual machines; root, qemu-system-x86, mmdebstrap and e2fsprogs
	$(GO) test ./internal/guest -guest -v -timeout 2h

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
