package config

import (
	"errors"
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

// parse reads a file's text into entries. What is no TOML is one problem; the entries above it come all the same.
func parse(file string, text []byte) (entries []entry, problems Problems) {
	if err := toml.Unmarshal(text, &map[string]any{}); err != nil { // also what the parser below leaves unsaid: keys that come twice
		p := Problem{At: Origin{File: file, Line: 1}, Want: strings.TrimPrefix(err.Error(), "toml: ")}
		var at *toml.DecodeError
		if errors.As(err, &at) {
			p.At.Line, _ = at.Position()
			p.Key = strings.Join(at.Key(), ".")
		}
		problems = append(problems, p)
	}
	f := fileParser{file: file}
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
	return f.entries, problems
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
