package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/script"
)

// dump writes a specification as text: every field that is not zero, conditions as their text.
func dump(spec any) string {
	var b strings.Builder
	dumpStruct(&b, "", reflect.ValueOf(spec).Elem())
	return b.String()
}

func dumpStruct(b *strings.Builder, indent string, v reflect.Value) {
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		if field.IsZero() || name == "Files" || name == "Digest" {
			continue
		}
		switch x := field.Interface().(type) {
		case hcl.Range, hcl.Diagnostics:
		case remedy.Args:
			if args := reflect.ValueOf(x).Elem(); !args.IsZero() {
				dumpField(b, indent, name, args)
			}
		case *Service: // of a remedy
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, x.Name)
		case metric.Selector, jsonpath.Path:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, x)
		case *expr.Program:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, x.Text())
		case *regexp.Regexp:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, x)
		case time.Duration:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, defaults.Duration(x))
		case time.Time, script.Script, []netip.Addr:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, x)
		case *time.Location:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, x)
		default:
			dumpField(b, indent, name, field)
		}
	}
}

func dumpField(b *strings.Builder, indent, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v = v.Elem()
		fallthrough
	case reflect.Struct:
		fmt.Fprintf(b, "%s%s:\n", indent, name)
		dumpStruct(b, indent+"  ", v)
	case reflect.Slice:
		kind := v.Type().Elem().Kind()
		if kind != reflect.Pointer && kind != reflect.Struct {
			fmt.Fprintf(b, "%s%s: %q\n", indent, name, fmt.Sprint(v.Interface()))
			return
		}
		for i := range v.Len() {
			fmt.Fprintf(b, "%s%s:\n", indent, singular(name))
			dumpStruct(b, indent+"  ", reflect.Indirect(v.Index(i)))
		}
	default:
		fmt.Fprintf(b, "%s%s: %v\n", indent, name, v.Interface())
	}
}

// singular is the name of one of them.
func singular(name string) string {
	if one, ok := strings.CutSuffix(name, "ies"); ok {
		return one + "y"
	}
	return strings.TrimSuffix(name, "s")
}
