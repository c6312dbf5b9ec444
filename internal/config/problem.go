package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Origin is where a value came from. The zero Origin is the default.
type Origin struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // from 1 on; 0 for the default
	By   string `json:"by,omitempty"`   // of a value that is from no file: who set it, such as "--set"; Line counts those
}

func (o Origin) String() string {
	switch {
	case o.Line == 0:
		return "default"
	case o.File == "":
		return o.By
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// Problem is one mistake. Seen and Key may be empty where the text is no TOML at all.
type Problem struct {
	At   Origin `json:"at"`
	Key  string `json:"key,omitempty"`
	Seen string `json:"seen,omitempty"` // the value, as TOML
	Want string `json:"want"`           // what would be right
}

func (p Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", p.At)
	if p.Key != "" {
		b.WriteString(p.Key)
		if p.Seen != "" {
			b.WriteString(" = " + p.Seen)
		}
		b.WriteString(": ")
	}
	return b.String() + p.Want
}

// Problems are all mistakes of a configuration, in the order of files and lines; one line each.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, q := range p {
		lines[i] = q.Error()
	}
	return strings.Join(lines, "\n")
}

// sort brings problems into the order of files, as entries have them, and lines. What is about a default comes last.
func (p Problems) sort(entries []entry) {
	order := func(q Problem) int {
		if q.At.Line == 0 {
			return len(entries) + 1
		}
		if i := slices.IndexFunc(entries, func(e entry) bool { return e.at.File == q.At.File }); i >= 0 {
			return i
		}
		return len(entries)
	}
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Or(order(a)-order(b), a.At.Line-b.At.Line) })
}
