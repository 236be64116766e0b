package helper

import (
	"context"
	"fmt"

	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
)

// do carries out an order that the list permits, on the unit that systemd itself says is meant.
func (s *Server) do(ctx context.Context, o order.Order) (job int, err error) {
	list, err := ReadList(s.o.List)
	if err != nil {
		return 0, fmt.Errorf("the list of what may be done is refused: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // and with it the connection
	c, err := systemd.Dial(ctx, s.manager.bus)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if o.Verb == order.Install {
		if err := list.may(o.Packages); err != nil {
			return 0, err
		}
		return s.manager.install(ctx, c, o)
	}
	if o.Unit, err = meant(ctx, c, o, list); err != nil {
		return 0, err
	}
	switch {
	case o.Verb == order.Lift:
		return 0, lift(ctx, c, o.Unit)
	case o.For > 0:
		return 0, s.manager.limit(ctx, c, o)
	}
	return order.Do(ctx, c, o)
}

// meant is the primary name of the order's unit, if the list permits the verb on that: an alias is judged by where it
// leads, and a unit by what it is. What systemd does not have from a file that an administrator put there is left
// alone: a transient unit may be anybody's under any name.
func meant(ctx context.Context, c *systemd.Calls, o order.Order, list List) (string, error) {
	unit, err := c.GetUnitPropertiesContext(ctx, o.Unit)
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", o.Unit, err)
	}
	name, _ := unit["Id"].(string)
	load, _ := unit["LoadState"].(string)
	transient, known := unit["Transient"].(bool)
	switch {
	case !list.Permits(name, o.Permit()):
		return "", fmt.Errorf("the list permits no %s of %s", o.Permit(), name)
	case o.Verb == order.Lift:
		return name, nil // a limit ends also where the unit is gone or masked
	case load != "loaded":
		return "", fmt.Errorf("%s is %s", name, load)
	case !known || transient:
		return "", fmt.Errorf("%s is transient", name)
	}
	return name, nil
}
