# Slipway's targets. `make help` lists them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
BIN         := $(CURDIR)/bin
export PATH := $(BIN):$(PATH)

# Pinned tools. They are built into bin/, each under a name with its version, so a new pin is picked up by itself.
TEMPORAL      := v1.5.1  # the newest that `go install` accepts: later ones have replace directives
GOLANGCI      := v2.15.0
WORKFLOWCHECK := v0.6.0
GOVULNCHECK   := v1.8.0
GOTESTSUM     := v1.13.0

LINT      := $(BIN)/golangci-lint-$(strip $(GOLANGCI))
WORKFLOW  := $(BIN)/workflowcheck-$(strip $(WORKFLOWCHECK))
VULN      := $(BIN)/govulncheck-$(strip $(GOVULNCHECK))
TESTSUM   := $(BIN)/gotestsum-$(strip $(GOTESTSUM))

VERSION := $(shell git describe --tags --dirty 2>/dev/null || echo 0.1.0-dev+$$(git rev-parse --short HEAD 2>/dev/null || echo unknown))
GO_BUILD := go build -trimpath -ldflags "-X slipway/internal/buildinfo.Version=$(VERSION)"

# On a build server nothing that is tested against may be missing.
ifeq ($(CI),true)
export SLIPWAY_TEST_REQUIRE ?= postgres,temporal,chromium,git,ssh
endif

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z/-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z\/-]+):.*## /  \1\t/' | expand -t 16

.PHONY: build
build: ## build bin/slipway
	@mkdir -p $(BIN)
	$(GO_BUILD) -o $(BIN)/slipway ./cmd/slipway

.PHONY: demo
demo: build temporal ## take the sample from source to production on a scratch stack, then remove everything
	@$(BIN)/slipway demo

.PHONY: dev
dev: build temporal ## run the whole stack on this machine until Ctrl-C
	@PATH="$${PATH#$(BIN):}" exec $(BIN)/slipway dev # your own PATH: it says how your shell finds the command

.PHONY: test
test: temporal $(TESTSUM) ## run all tests that take less than a minute each
	$(TESTSUM) --format standard-quiet -- -timeout 15m ./...

.PHONY: check
check: check-format check-modules lint check-workflows check-vulnerabilities check-reproducible test ## everything the build server runs
	@echo "check: all good"

# The packages with tests behind a build tag. They run one after another: they share the machine that they measure.
tagged = $$(grep -rl '^//go:build $(1)$$' --include='*_test.go' . | xargs -r -n1 dirname | sort -u)

.PHONY: soak
soak: build temporal ## loads and kills that take longer: tests with the build tag soak
	go test -count=1 -p 1 -timeout 3h -tags soak -run Soak -v $(call tagged,soak)

.PHONY: bench
bench: temporal ## measure; every figure ends as a RATIO line (docs/benchmarks.md)
	go test -count=1 -p 1 -timeout 1h -tags bench -run '^TestBench' -v $(call tagged,bench) \
		| grep -E '^ *(RATIO|#|--- |FAIL|panic|ok )|_test\.go:'

.PHONY: bench-assets
bench-assets: ## measure assets on PostgreSQL, one million of them (N=5000000 for more; docs/benchmarks-assets.md)
	go test -count=1 -timeout 1h -tags bench -run '^TestAssetsBench' -v ./bench/assets

# The copy has another path and other times of files: only what the sources say may reach the program. A full second
# compilation takes minutes, so check leaves the compiler's cache to it; by itself, the second build begins with nothing.
.PHONY: reproducible check-reproducible
reproducible: ## build a second time, elsewhere and from nothing, and compare the programs
	@copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	mkdir "$$copy/elsewhere" "$$copy/cache"; \
	tar -c --exclude=./bin --exclude=./.git . | tar -x -m -C "$$copy/elsewhere"; \
	first=$$copy/first second=$$copy/second; \
	$(GO_BUILD) -buildvcs=false -o "$$first" ./cmd/slipway; \
	(cd "$$copy/elsewhere" && GOCACHE=$${SECOND_CACHE:-$$copy/cache} $(GO_BUILD) -buildvcs=false -o "$$second" ./cmd/slipway); \
	sha256sum "$$first" "$$second" | cut -c1-64; \
	cmp "$$first" "$$second" && echo "reproducible: the two programs are the same"

check-reproducible:
	@SECOND_CACHE=$$(go env GOCACHE) $(MAKE) --no-print-directory reproducible

.PHONY: fmt
fmt: ## format the code
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: lint
lint: $(LINT) ## vet, staticcheck and the other linters of .golangci.yml
	$(LINT) run ./...

.PHONY: golden
golden: ## rewrite the golden files from what the code does now; review the difference
	SLIPWAY_UPDATE_GOLDEN=1 go test -count=1 -run Golden ./...

.PHONY: clean
clean: ## remove what was built (not the data of `make dev`)
	rm -rf $(BIN)

# The parts of check that have no use of their own.

.PHONY: check-format
check-format:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi

.PHONY: check-modules
check-modules:
	@go mod tidy -diff || { echo "go.mod or go.sum is not tidy: run go mod tidy"; exit 1; }
	@go mod verify

# Workflow code must be deterministic: no clock, no random numbers, no iteration over maps, no goroutines.
.PHONY: check-workflows
check-workflows: $(WORKFLOW)
	$(WORKFLOW) ./workflows/...

# The database of vulnerabilities is on the network. Where that cannot be reached the check says so and is left out;
# every other failure counts.
.PHONY: check-vulnerabilities
check-vulnerabilities: $(VULN)
	@out=$$($(VULN) ./... 2>&1) && { echo "$$out" | tail -3; exit 0; }; \
	if grep -q 'fetching vulnerabilities' <<<"$$out"; then \
		echo "SKIPPED govulncheck: its data cannot be reached ($$(grep -m1 -o 'dial.*\|Get.*' <<<"$$out"))"; \
	else echo "$$out"; exit 1; fi

# The Temporal command for `slipway dev`, the demo and the tests: the one on PATH, else built here.
.PHONY: temporal
temporal:
	@command -v temporal >/dev/null || $(MAKE) --no-print-directory $(BIN)/temporal

$(BIN)/temporal:
	GOBIN=$(BIN) go install github.com/temporalio/cli/cmd/temporal@$(strip $(TEMPORAL))

# bin/temporal is the name by which one asks for it.
.PHONY: bin/temporal
bin/temporal: $(BIN)/temporal ## build the Temporal command into bin/

define install
	@mkdir -p $(BIN)
	GOBIN=$(BIN)/.install go install $(1)
	@mv $(BIN)/.install/$(notdir $(firstword $(subst @, ,$(1)))) $@ && rmdir $(BIN)/.install
endef

$(LINT):
	$(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(strip $(GOLANGCI)))

$(WORKFLOW):
	$(call install,go.temporal.io/sdk/contrib/tools/workflowcheck@$(strip $(WORKFLOWCHECK)))

$(VULN):
	$(call install,golang.org/x/vuln/cmd/govulncheck@$(strip $(GOVULNCHECK)))

$(TESTSUM):
	$(call install,gotest.tools/gotestsum@$(strip $(GOTESTSUM)))
