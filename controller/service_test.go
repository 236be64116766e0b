package controller

import (
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/controller/internal/access"
)

// Whatever a node serves is in the table of who may call what, so that nobody adds a service and forgets to.
func TestEveryServiceIsInTheTable(t *testing.T) {
	c := &controller{o: Options{ConfigFile: newSite(t).file, Log: hclog.NewNullLogger()}, log: hclog.NewNullLogger(),
		fatal: make(chan error, 1)}
	if err := c.o.validate(); err != nil {
		t.Fatal(err)
	}
	defer c.cleanUp()
	if err := c.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	table := access.Table()
	for service, info := range c.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			if _, ok := table["/"+service+"/"+m.Name]; !ok {
				t.Errorf("%s/%s is served, and nobody said who may call it", service, m.Name)
			}
		}
	}
}
