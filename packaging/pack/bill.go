package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// The parts of an SPDX 2.3 document that say which modules are linked into a program.
type (
	spdx struct {
		Version       string         `json:"spdxVersion"`
		License       string         `json:"dataLicense"`
		ID            string         `json:"SPDXID"`
		Name          string         `json:"name"`
		Namespace     string         `json:"documentNamespace"`
		Creation      spdxCreation   `json:"creationInfo"`
		Packages      []spdxPackage  `json:"packages"`
		Relationships []spdxRelation `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID          string          `json:"SPDXID"`
		Name        string          `json:"name"`
		Version     string          `json:"versionInfo"`
		Location    string          `json:"downloadLocation"`
		Analyzed    bool            `json:"filesAnalyzed"`
		Concluded   string          `json:"licenseConcluded"`
		Declared    string          `json:"licenseDeclared"`
		Copyright   string          `json:"copyrightText"`
		Purpose     string          `json:"primaryPackagePurpose"`
		Checksums   []spdxChecksum  `json:"checksums,omitempty"`
		References  []spdxReference `json:"externalRefs,omitempty"`
		SumsComment string          `json:"comment,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxReference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelation struct {
		Of   string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

// bill writes which modules, in which versions, are in the package's programs, as those themselves say.
func (b *builder) bill(name, arch string) error {
	full := fmt.Sprintf("%s_%s_%s", name, b.version, arch)
	doc := spdx{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: full,
		Creation: spdxCreation{b.o.git.date.Format("2006-01-02T15:04:05Z"), []string{"Tool: salve-pack"}},
	}
	for _, program := range programs(name) {
		sum, err := doc.add(filepath.Join(b.stage, "bin", program), b.version)
		if err != nil {
			return err
		}
		if doc.Namespace == "" {
			doc.Namespace = homepage + "/spdx/" + full + "-" + sum[:16]
		}
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.o.out, full+".spdx.json"), append(text, '\n'), 0o644)
}

// add takes up a program with the modules in it, each module once, and returns the program's sum.
func (d *spdx) add(program, version string) (sum string, err error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", err
	}
	if sum, err = sha256Of(program); err != nil {
		return "", err
	}
	const none = "NOASSERTION"
	name := filepath.Base(program)
	self := "SPDXRef-Program-" + name
	d.Packages = append(d.Packages, spdxPackage{
		ID: self, Name: name, Version: version, Location: homepage, Concluded: "Apache-2.0",
		Declared: "Apache-2.0", Copyright: none, Purpose: "APPLICATION", Checksums: []spdxChecksum{{"SHA256", sum}},
	})
	d.Relationships = append(d.Relationships, spdxRelation{d.ID, "DESCRIBES", self})
	link := func(path, version, purl, comment string) {
		id := "SPDXRef-" + strings.Map(idLetter, path+"-"+version)
		d.Relationships = append(d.Relationships, spdxRelation{self, "STATIC_LINK", id})
		if slices.ContainsFunc(d.Packages, func(p spdxPackage) bool { return p.ID == id }) {
			return
		}
		d.Packages = append(d.Packages, spdxPackage{
			ID: id, Name: path, Version: version, Location: none, Concluded: none, Declared: none, Copyright: none,
			Purpose: "LIBRARY", References: []spdxReference{{"PACKAGE-MANAGER", "purl", purl}}, SumsComment: comment,
		})
	}
	compiler := strings.TrimPrefix(info.GoVersion, "go")
	link("stdlib", compiler, "pkg:golang/stdlib@"+compiler, "")
	sort.Slice(info.Deps, func(i, j int) bool { return info.Deps[i].Path < info.Deps[j].Path })
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		link(m.Path, m.Version, "pkg:golang/"+m.Path+"@"+m.Version, "go.sum: "+m.Sum)
	}
	return sum, nil
}

// idLetter keeps the letters that SPDX allows in identifiers.
func idLetter(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
		return r
	}
	return '-'
}

func sha256Of(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sums writes SHA256SUMS for all that is in the folder.
func sums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range entries {
		if e.Name() == "SHA256SUMS" || !e.Type().IsRegular() {
			continue
		}
		sum, err := sha256Of(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, e.Name())
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(b.String()), 0o644)
}
