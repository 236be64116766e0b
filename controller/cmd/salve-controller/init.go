package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/salveops/salve/controller"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/durable"
)

const initUsage = `Usage: salve-controller init --dir DIR --node NAME --address HOST,…   make an authority, a node's certificate, an operator's
       salve-controller init --ca DIR --node NAME --address HOST,…    make another node's certificate
       salve-controller init --ca DIR --operator NAME --role ROLE     make another operator's certificate

Run by root, the files of nodes belong to the controller's user (the owner of --data), and an operator's file to the
person: with sudo, to who called it. Nothing that is there is written over. The authority's key (ca-key.pem) lies on
the nodes that give hosts their certificates, and nowhere else.

Flags:
`

// initialize is salve-controller init.
func initialize(args []string) int {
	flags := pflag.NewFlagSet("salve-controller init", pflag.ContinueOnError)
	o := controller.InitOptions{Out: os.Stdout, Now: clock.Wall()}
	flags.StringVar(&o.Dir, "dir", "", "folder for the files; with --ca that one is the default")
	flags.StringVar(&o.CA, "ca", "", "folder of the authority that is there; without it one is made")
	flags.StringVar(&o.Data, "data", defaults.ControllerData, "state folder of the controller")
	flags.StringVar(&o.Node, "node", "", "name of the node")
	flags.StringSliceVar(&o.Addresses, "address", nil,
		"names and IP addresses under which the node is reached, without ports")
	flags.StringVar(&o.Operator, "operator", "", "name of an operator; the first authority makes one called admin")
	flags.StringVar(&o.Role, "role", "admin", "of the operator: viewer, operator, approver or admin")
	flags.Usage = func() { fmt.Fprint(os.Stderr, initUsage+flags.FlagUsages()) }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		return misused(err)
	}
	if flags.NArg() > 0 {
		return misused(fmt.Errorf("unknown argument %q", flags.Arg(0)))
	}
	o.Person = person()
	if o.CA == "" && o.Operator == "" {
		o.Operator = "admin"
	}
	if err := controller.Init(o); err != nil {
		fmt.Fprintln(os.Stderr, "salve-controller:", err)
		return 1
	}
	return 0
}

// person is who called sudo, nil if nobody did.
func person() *durable.Owner {
	uid, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, err2 := strconv.Atoi(os.Getenv("SUDO_GID"))
	if os.Geteuid() != 0 || errors.Join(err, err2) != nil {
		return nil
	}
	return &durable.Owner{UID: uid, GID: gid}
}
