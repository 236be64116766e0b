# Salve's one way to build, test and check. `make` alone prints the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The products are static: no cgo. Only the race detector needs it (and gcc).
export CGO_ENABLED := 0
# Paths are trimmed everywhere, and not only in what is shipped, so that nothing has to be compiled twice.
export GOFLAGS := $(filter-out -buildvcs=% -trimpath,$(GOFLAGS)) -buildvcs=false -trimpath

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null)
PKG     := github.com/salveops/salve/pkg/version
LDFLAGS := -s -w -X $(PKG).version=$(VERSION) -X $(PKG).commit=$(COMMIT) -X $(PKG).date=$(DATE)
BUILD   := go build -ldflags '$(LDFLAGS)'

# Hand-written Go, for the checks that read it.
SOURCES := agent controller packaging pkg proto
MAXLINES := 600

# Tools, pinned. They are no part of go.mod: their dependencies would meddle with the product's.
TOOLS       := $(CURDIR)/.tools
BUF         := $(TOOLS)/buf@v1.75.0
GEN_GO      := $(TOOLS)/protoc-gen-go@v1.36.12
GEN_GRPC    := $(TOOLS)/protoc-gen-go-grpc@v1.6.2
STATICCHECK := $(TOOLS)/staticcheck@v0.8.2
NFPM        := $(TOOLS)/nfpm@v2.45.2

.PHONY: help
help: ## print this
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: build
build: ## build the programs into bin/
	$(BUILD) -o bin/salve-agent ./agent/cmd/salve-agent
	$(BUILD) -o bin/salve-agent-helper ./agent/cmd/salve-agent-helper
	$(BUILD) -o bin/salve-controller ./controller/cmd/salve-controller
	$(BUILD) -o bin/salve ./controller/cmd/salve

.PHONY: test
test: missing $(if $(filter all,$(SALVE_TEST_REQUIRE)),$(NFPM)) ## run all tests; what this machine lacks is named (SALVE_TEST_REQUIRE=all: and is a failure)
	CGO_ENABLED=$(if $(findstring -race,$(TESTFLAGS)),1,0) go test -timeout 15m $(TESTFLAGS) $(PACKAGES)

# Packages that begin nothing which could run beside them (pkg/purity_test.go sees to it), and compute for long. The race detector
# takes several times as long for them and has nothing to find, so CI tests them without it. `make race` leaves out nothing.
ALONE    := $(addprefix ./pkg/,anomaly config exposition expr healing permit promql rule series simulate) ./controller/internal/state
BESIDE    = $(filter-out $(patsubst ./%,$(shell go list -m)/%,$(ALONE)),$(shell go list ./...))
PACKAGES ?= ./...

.PHONY: race
race: ## run all tests with the race detector (needs gcc)
	$(MAKE) --no-print-directory test TESTFLAGS='-race $(TESTFLAGS)'

# Whatever comes from outside has a fuzz test, whose corpus `make test` runs. Here each looks for new inputs for a moment,
# two at once; one that it finds lands in testdata/fuzz, and stays there. A time that is up in the middle of an input
# is no failure.
FUZZTIME ?= 1s
PART ?= 0/1
.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZTIME (1s), two at once; PART=1/3 is every third one
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' $(SOURCES) | \
	  sed -E 's,(.*)/[^/]*:func (.*),./\1 \2,' | LC_ALL=C sort | \
	  awk -v part=$(PART) 'BEGIN { split(part, p, "/") } NR % p[2] == p[1]' | xargs -P 2 -L 1 bash -c '\
	    out=$$(go test -run=^none -fuzz="^$$1\$$" -fuzztime=$(FUZZTIME) -parallel=1 "$$0" 2>&1) || \
	    { grep -q "context deadline exceeded" <<<"$$out" && ! grep -q "Failing input" <<<"$$out"; } || \
	    { echo "$$out"; exit 255; }; \
	    echo "$$1 of $$0: $$(grep "^fuzz: elapsed" <<<"$$out" | tail -1)"'

# Debian package of each program that some tests start for real.
.PHONY: missing
missing:
	@n=0; \
	need() { \
	  if compgen -G "$$1" >/dev/null; then return; fi; \
	  n=1; echo "missing here: $$2 (Debian package $$3), for tests of $$4"; \
	}; \
	need '/*lib/systemd/systemd' systemd systemd 'everything about units'; \
	need '/*lib/systemd/systemd-journal-remote' 'the writer of journals' systemd-journal-remote 'signals counted from the journal'; \
	need '/usr/bin/unshare' unshare util-linux 'everything about units'; \
	need '/usr/sbin/pgbouncer' PgBouncer pgbouncer 'connection pools'; \
	need '/usr/lib/postgresql/*/bin/postgres' PostgreSQL postgresql 'connection pools'; \
	need '/usr/sbin/haproxy' HAProxy haproxy 'connection pools'; \
	need '/usr/sbin/nft' nft nftables 'circuits that are cut'; \
	need '/usr/bin/gcc' gcc gcc 'dumps of threads'; \
	need '/usr/bin/gdb' gdb gdb 'cores of processes'; \
	need '/usr/bin/eu-stack' eu-stack elfutils 'stacks of processes'; \
	need '/usr/bin/redis-server' Redis redis-server 'probes and caches'; \
	need '/usr/bin/memcached' memcached memcached 'caches'; \
	need '/usr/sbin/nginx' nginx nginx 'caches'; \
	need '/usr/sbin/varnishd' Varnish varnish 'caches'; \
	need '/usr/sbin/dnsmasq' dnsmasq dnsmasq-base 'probes'; \
	need '/usr/bin/prometheus-alertmanager' Alertmanager prometheus-alertmanager 'messages to Alertmanager'; \
	need '/usr/bin/prometheus' Prometheus prometheus 'metrics of real programs'; \
	need '/usr/bin/prometheus-node-exporter' node-exporter prometheus-node-exporter 'metrics of real programs'; \
	need '/usr/bin/etcd' etcd etcd-server 'the benchmark beside it'; \
	need '/usr/bin/dpkg-deb' dpkg-deb dpkg 'packages'; \
	need '/usr/bin/rpm' rpm rpm 'packages'; \
	need '/usr/bin/dnf-3' dnf dnf 'packages that go back'; \
	need '/usr/lib/python3/dist-packages/dnf-plugins/versionlock.py' versionlock dnf-plugins-core 'packages that go back'; \
	need '/usr/bin/createrepo_c' createrepo_c createrepo-c 'packages that go back'; \
	need '/usr/bin/lintian' lintian lintian 'packages'; \
	need '/usr/bin/rmiregistry' 'a JVM' default-jre-headless 'stacks of a JVM'; \
	need '/usr/bin/python3' Python python3 'exports of the audit, by an outsider'; \
	[ -x $(TOOLS)/nfpm ] || [ "$${SALVE_TEST_REQUIRE:-}" = all ] || echo 'missing here: nfpm (make nfpm), for tests of packages'; \
	if [ "$$n" = 1 ] && [ "$${SALVE_TEST_REQUIRE:-}" = all ]; then exit 1; fi

# The same commit gives the same bytes; see packaging/README.md.
PACK = go run ./packaging/pack --nfpm $(TOOLS)/nfpm --version '$(VERSION)' --commit '$(COMMIT)' --date '$(DATE)'

.PHONY: deb
deb: $(NFPM) ## build the Debian packages into dist/, with SHA256SUMS and SPDX documents
	rm -f dist/*.deb dist/*.spdx.json
	$(PACK) --formats deb

.PHONY: rpm
rpm: $(NFPM) ## build the RPM packages into dist/, with SHA256SUMS and SPDX documents
	rm -f dist/*.rpm dist/*.spdx.json
	$(PACK) --formats rpm

.PHONY: demo
demo: build ## break services for real and watch them being healed (KEEP=1 leaves it running)
	$(BUILD) -o bin/lab-service ./packaging/lab/service
	$(BUILD) -o bin/salve-demo ./packaging/lab/demo
	bin/salve-demo

# What CI leaves out of the scenarios, because the others take long enough.
LAB_LONG = Test(MinoritySide|BadRelease|RollingUpgrade|UpgradeInAction|Downgrade|Remove|OldData|BadDays|PoolExhausted|Rollback|Packages)

.PHONY: lab
lab: $(NFPM) ## prove it on booted hosts, as root: three controllers and four agents, broken in twelve ways (SEED=N, SCENARIOS=ci)
	go test -tags lab -count=1 -p 1 -timeout 90m -v $(if $(filter ci,$(SCENARIOS)),-skip '$(LAB_LONG)') $(LABFLAGS) \
	  ./packaging/lab/booted ./packaging/lab/scenario

.PHONY: bench
bench: build ## measure beside Monit, systemd, Prometheus and etcd; writes agent/ and controller/BENCHMARKS.md (BENCHFLAGS='--only sources')
	$(BUILD) -o bin/lab-service ./packaging/lab/service
	$(BUILD) -o bin/salve-bench ./packaging/lab/bench
	bin/salve-bench $(BENCHFLAGS)

# At the end a table: what each process held, and whether it goes on growing. SOAK_MINUTES=3 shows whether it works.
SOAK_MINUTES ?= 30
.PHONY: soak
soak: build ## let three controllers and four agents heal for half an hour, and look for leaks (SOAK_MINUTES, SOAKFLAGS)
	$(BUILD) -o bin/lab-service ./packaging/lab/service
	$(BUILD) -o bin/salve-soak ./packaging/lab/soak
	bin/salve-soak --minutes $(SOAK_MINUTES) $(SOAKFLAGS)

# It takes twelve minutes; see packaging/lab/badday for the packages that it wants.
.PHONY: badday
badday: build ## break what the rule pack is about, for real, and record it anew for the pack's tests
	$(BUILD) -o bin/salve-badday ./packaging/lab/badday
	bin/salve-badday

# NAB_DIR is a folder with windows.json and the files that it names; NABFLAGS=--files prints each of them.
.PHONY: nab
nab: ## the detector's figure of the Numenta Anomaly Benchmark, over the series in NAB_DIR
	@go run ./packaging/lab/nab $(NABFLAGS) '$(or $(NAB_DIR),$(error say where the series are: make nab NAB_DIR=/path/of/nab))'

.PHONY: check
check: format lint generated docs sizes sleeps ## verify format, vet, staticcheck, generated code and docs, sizes

.PHONY: format
format:
	@out=$$(gofmt -l -s $(SOURCES)); [ -z "$$out" ] || { echo "not formatted (gofmt -s -w):"; echo "$$out"; exit 1; }

.PHONY: lint
lint: $(STATICCHECK) ## go vet and staticcheck
	go vet -tags lab ./...
	$(TOOLS)/staticcheck -tags lab ./...

# Whoever changes a .proto file, or generated code, and does not say `make proto` changes a sum.
# Generating again would prove the same, for two minutes of building buf on a fresh machine.
SUMS = cd proto && find . -name '*.proto' -o -name '*.pb.go' -o -name 'buf*.yaml' | LC_ALL=C sort | xargs sha256sum

.PHONY: generated
generated:
	@diff <($(SUMS)) proto/SHA256SUMS || { echo "generated code is stale: make proto"; exit 1; }

.PHONY: docs
docs:
	@out=$$(go test ./pkg/defaults ./pkg/remedy && go test -run PackDocs ./pkg/config) || { echo "$$out"; exit 1; }

.PHONY: sizes
sizes:
	@out=$$(find $(SOURCES) -name '*.go' ! -name '*.pb.go' -exec wc -l {} + | \
	  awk '$$2 != "total" && $$1 > $(MAXLINES) { print $$2 ": " $$1 " lines" }'); \
	[ -z "$$out" ] || { echo "files of more than $(MAXLINES) lines: cut them"; echo "$$out"; exit 1; }

# In a bubble of testing/synctest a sleep takes no time; anywhere else it is a guess.
.PHONY: sleeps
sleeps:
	@out=$$(for d in $$(grep -rl --include='*_test.go' 'time\.Sleep(' $(SOURCES) | xargs -r dirname | sort -u); do \
	  grep -q '"testing/synctest"' $$d/*_test.go || grep -n 'time\.Sleep(' $$d/*_test.go; done); \
	[ -z "$$out" ] || { echo "tests that sleep (use synctest, a channel, a poll with a deadline):"; echo "$$out"; exit 1; }

.PHONY: proto
proto: $(BUF) $(GEN_GO) $(GEN_GRPC) ## check the .proto files and generate their code
	cd proto && PATH="$(TOOLS):$$PATH" && buf format -w && buf lint && buf generate
	($(SUMS)) > proto/SHA256SUMS

.PHONY: tools
tools: $(BUF) $(GEN_GO) $(GEN_GRPC) $(STATICCHECK) $(NFPM) ## install the pinned tools into .tools/

# install NAME@VERSION of a module path, and leave a stamp, so that a new version here installs anew.
install = GOBIN=$(TOOLS) GOFLAGS= go install $(1)@$(lastword $(subst @, ,$(notdir $@))) && touch $@

.PHONY: nfpm
nfpm: $(NFPM)

$(BUF):
	$(call install,github.com/bufbuild/buf/cmd/buf)
$(GEN_GO):
	$(call install,google.golang.org/protobuf/cmd/protoc-gen-go)
$(GEN_GRPC):
	$(call install,google.golang.org/grpc/cmd/protoc-gen-go-grpc)
$(STATICCHECK):
	$(call install,honnef.co/go/tools/cmd/staticcheck)
$(NFPM):
	$(call install,github.com/goreleaser/nfpm/v2/cmd/nfpm)

.PHONY: clean
clean: ## remove what was built; the tools stay
	rm -rf bin dist
