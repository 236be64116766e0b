package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// format reads the number of a constant, such as "const format = 1", out of a folder of sources. It is what keeps an
// older release from being installed over what a newer one wrote.
func format(dir, name string) (int, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return 0, err
		}
		if n, ok := constant(tree, name); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s has no constant %s with a plain number", dir, name)
}

func constant(tree *ast.File, name string) (int, bool) {
	for _, d := range tree.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 || v.Names[0].Name != name || len(v.Values) != 1 {
				continue
			}
			if lit, ok := v.Values[0].(*ast.BasicLit); ok {
				n, err := strconv.Atoi(lit.Value)
				return n, err == nil
			}
		}
	}
	return 0, false
}
