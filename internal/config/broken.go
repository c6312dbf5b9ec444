package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// mostBroken bounds the lines of a file that are told to be no TOML.
const mostBroken = 16

// statement returns the line, from 1 on, as what it was meant to be: all of one "key = value". It is not ok where that is not clear.
func statement(text []byte, line int) (key, value string, ok bool) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if line > len(lines) {
		return "", "", false
	}
	key, value, _ = strings.Cut(string(lines[line-1]), "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	several := strings.HasPrefix(value, "[") || strings.HasPrefix(value, "{") || strings.Contains(value, `"""`) || strings.Contains(value, "'''")
	if !bareKey.MatchString(key) || several || toml.Unmarshal(bytes.Join(lines[:line-1], nil), &map[string]any{}) != nil { // it began further up
		return "", "", false
	}
	return key, value, true
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// without returns the text with a line blank, if that was a statement: what follows the head of a table, or a value of several lines,
// would mean something else.
func without(text []byte, line int) ([]byte, bool) {
	if _, _, ok := statement(text, line); !ok {
		return nil, false
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[line-1] = []byte("\n")
	return bytes.Join(lines, nil), true
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
	key, value, ok := statement(f.Data(), p.At.Line)
	if !ok {
		return p
	}
	p.Key, p.Seen = key, value
	for _, e := range f.entries { // it is in the table that was opened last
		if e.kind == unstable.Table && e.at.Line < p.At.Line {
			p.Key = e.key + "." + key
		}
	}
	if value != "" && unicode.IsLetter([]rune(value)[0]) {
		p.Want = fmt.Sprintf("no TOML: text wants quotes: %s = %q", key, value)
	}
	return p
}
