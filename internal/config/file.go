package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

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
	// The parser leaves some of it unsaid: keys that come twice.
	if err := toml.Unmarshal(text, &map[string]any{}); err != nil {
		problems = append(problems, f.explain(err))
	}
	return f.entries, problems
}

// explain says what is no TOML, as far as it can be told in the words of the file.
func (f *fileParser) explain(err error) Problem {
	p := Problem{At: Origin{File: f.file, Line: 1}, Want: "no TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
	var decode *toml.DecodeError
	if !errors.As(err, &decode) {
		return p
	}
	p.At.Line, _ = decode.Position()
	for i, e := range f.entries {
		if e.at.Line != p.At.Line || e.kind == unstable.Table {
			continue
		}
		p.Key, p.Seen = e.key, e.seen()
		if first := slices.IndexFunc(f.entries, func(o entry) bool { return o.key == e.key }); first < i {
			p.Want = fmt.Sprintf("is there before, on line %d: want it once", f.entries[first].at.Line)
		}
		return p
	}
	lines := strings.Split(string(f.Data()), "\n")
	key, value, ok := strings.Cut(lines[min(p.At.Line, len(lines))-1], "=")
	if value = strings.TrimSpace(value); ok && value != "" && unicode.IsLetter([]rune(value)[0]) {
		p.Key, p.Seen = strings.TrimSpace(key), value
		p.Want = fmt.Sprintf("no TOML: text wants quotes: %s = %q", p.Key, value)
	}
	return p
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
