package signal

// All lists every signal, in catalogue order.
func All() []Info {
	var all []Info
	for i := range catalogue {
		for j := range catalogue[i].fields {
			all = append(all, catalogue[i].info(j))
		}
	}
	return all
}

// Lookup finds the description of a signal. It is false for a signal that does not exist, and for
// one that is named without the key it needs or with a key it does not have. Of a Metric, a Context and a Query it
// knows what all of them share.
func Lookup(p Path) (Info, bool) {
	switch {
	case p.Family == Metric && p.Key == "":
		return metricInfo, true
	case p.Family == Context && p.Key != "":
		return contextInfo, true
	case p.Family == Query && p.Key == "":
		return queryInfo, true
	}
	for i := range catalogue {
		f := &catalogue[i]
		if f.name != p.Family || f.keyed != (p.Key != "") {
			continue
		}
		for j := range f.fields {
			if f.fields[j].name == p.Field {
				return f.info(j), true
			}
		}
	}
	return Info{}, false
}

// Keyed reports whether the signals of a family exist once per instance, so that a path to them
// needs a key.
func Keyed(family string) bool {
	for i := range catalogue {
		if catalogue[i].name == family {
			return catalogue[i].keyed
		}
	}
	return false
}

// Suggest returns the existing name that is closest to a mistyped one, with the same key where it
// has one; "" when nothing is near.
func Suggest(name string) string {
	key := AnyKey
	if p, err := ParsePath(name); err == nil && p.Key != "" {
		key = p.Key
	}
	var names []string
	for i := range catalogue {
		f := &catalogue[i]
		for j := range f.fields {
			p := Path{Family: f.name, Field: f.fields[j].name}
			if f.keyed {
				p.Key = key
			}
			names = append(names, p.String())
		}
	}
	return Closest(name, names)
}

func (f *family) info(i int) Info {
	d := f.fields[i]
	in := Info{
		Name: f.name + "." + d.name, Dim: d.dim, Scope: f.scope, Every: f.every, Help: d.help, Source: f.source,
		Event: d.flags&event != 0, Counter: d.flags&counter != 0,
	}
	switch {
	case dotted(f.name):
		in.Name = f.name + ".*." + d.name
	case f.keyed:
		in.Name = f.name + "[*]." + d.name
	}
	if d.dim == Text {
		in.Words = append(in.Words, states...)
	}
	return in
}
