package local

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/salveops/salve/pkg/signal"
	"github.com/salveops/salve/proto/localpb"
)

func (a *api) Changes(ctx context.Context, r *localpb.ChangesRequest) (*localpb.ChangesResponse, error) {
	all, err := a.backend.Changes(ctx)
	if err != nil {
		return nil, err
	}
	if service := r.GetService(); service != "" {
		all = slices.DeleteFunc(all, func(x Change) bool { return x.Service != "" && x.Service != service })
	}
	return &localpb.ChangesResponse{Changes: each(all, changePB)}, nil
}

func (a *api) RecordChange(ctx context.Context, r *localpb.RecordChangeRequest) (*localpb.RecordChangeResponse, error) {
	text, err := checkText("text", r.GetText())
	if err != nil {
		return nil, err
	}
	kind, kinds := cmp.Or(r.GetKind(), "deployment"), signal.ChangeKinds()
	switch {
	case strings.TrimSpace(text) == "":
		return nil, fmt.Errorf("change without a text %w: say what has changed", ErrInvalid)
	case !slices.Contains(kinds, kind):
		return nil, fmt.Errorf("kind %q is %w: it must be one of %s", kind, ErrInvalid, strings.Join(kinds, ", "))
	}
	x, err := a.backend.RecordChange(ctx, kind, strings.TrimSpace(r.GetService()), text, caller(ctx, r.GetOperator()))
	if err != nil {
		return nil, err
	}
	return &localpb.RecordChangeResponse{Change: changePB(x)}, nil
}

func changePB(x Change) *localpb.Change {
	return &localpb.Change{Id: x.ID, At: stampPB(x.At), Age: durationpb.New(x.Age), Kind: x.Kind, Service: x.Service,
		Text: x.Text, By: x.By, Pending: x.Pending}
}
