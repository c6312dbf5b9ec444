package config

import (
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// entry is one "key = value", or the head of a table.
type entry struct {
	key  string // dotted, with its tables: swap.size
	kind unstable.Kind
	data string // of a string what is between the quotes, else as it was written
	at   Origin
}

// seen returns the value as TOML.
func (e entry) seen() string {
	switch e.kind {
	case unstable.String:
		return strconv.Quote(e.data)
	case unstable.Array, unstable.ArrayTable:
		return "[…]"
	}
	return e.data
}

// parse reads a file's text into entries. A line that is no TOML is one problem, and the others come all the same: so far as it is
// clear that it was one "key = value". Else it is the last that is read.
func parse(file string, text []byte) (entries []entry, problems Problems) {
	for broken := 1; ; broken++ {
		f := fileParser{file: file}
		shapes := f.read(text)
		// The parser leaves some of it unsaid: keys that come twice.
		err := toml.Unmarshal(text, &map[string]any{})
		if err == nil {
			return f.entries, append(problems, shapes...)
		}
		p := f.explain(err)
		problems = append(problems, p)
		rest, ok := without(text, p.At.Line)
		if !ok || broken == mostBroken {
			return f.entries, append(problems, shapes...)
		}
		text = rest
	}
}

// read reads up to the first line that is no TOML.
func (f *fileParser) read(text []byte) (problems Problems) {
	f.Reset(text)
	var table string
	for f.NextExpression() {
		switch n := f.Expression(); n.Kind {
		case unstable.Table:
			name, at := f.name(n.Key())
			table = name
			f.entries = append(f.entries, entry{key: name, kind: n.Kind, at: at})
		case unstable.ArrayTable:
			name, at := f.name(n.Key())
			table = ""
			problems = append(problems, Problem{At: at, Want: "[[" + name + "]]: want [" + name + "], which is there once"})
		case unstable.KeyValue:
			f.add(table, n)
		}
	}
	return problems
}

type fileParser struct {
	unstable.Parser
	file    string
	entries []entry
}

// add notes a key and its value; of an inline table, those inside.
func (f *fileParser) add(table string, n *unstable.Node) {
	name, at := f.name(n.Key())
	if table != "" {
		name = table + "." + name
	}
	v := n.Value()
	if v.Kind != unstable.InlineTable {
		f.entries = append(f.entries, entry{key: name, kind: v.Kind, data: string(v.Data), at: at})
		return
	}
	for in := v.Children(); in.Next(); {
		f.add(name, in.Node())
	}
}

// name joins a dotted key, and says where it is.
func (f *fileParser) name(parts unstable.Iterator) (string, Origin) {
	var words []string
	at := Origin{File: f.file, Line: 1}
	for parts.Next() {
		n := parts.Node()
		if len(words) == 0 {
			at.Line = f.Shape(n.Raw).Start.Line
		}
		words = append(words, bare(string(n.Data)))
	}
	return strings.Join(words, "."), at
}

// bare returns the part of a key in quotes if it needs them, so that "swap.size" with quotes is not taken for swap.size.
func bare(word string) string {
	if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r > 127 || r <= ' ' || strings.ContainsRune(".\"'#=[]{},", r) }) {
		return strconv.Quote(word)
	}
	return word
}
