// Package scenario proves Salve on real hosts: three controllers, four agents and a person's desk, each a booted
// systemd host on a network of its own, installed from the packages that are shipped and let in by the real
// enrolment. Each test is one sentence about what must hold while that fleet is being broken.
//
// `make lab` runs them (build tag lab, root). SEED=N repeats a run; all tests share one fleet, which each leaves whole.
package scenario
