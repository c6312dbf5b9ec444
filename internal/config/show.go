package config

import (
	"fmt"
	"io"
	"strings"
)

// Setting is one key with what is in force.
type Setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`             // as TOML, computed
	Written string `json:"written,omitempty"` // as it was written, if that is another text
	From    Origin `json:"from"`              // zero: the default
	Change  When   `json:"change"`            // what a change needs
}

// Settings returns all keys with what is in force, in the order of the documented file.
func (c *Config) Settings() []Setting {
	all := make([]Setting, len(keys))
	for i := range keys {
		k := &keys[i]
		all[i] = Setting{Key: k.name, Value: k.toml(c), From: c.origins[k.name], Change: k.when}
		if w := c.written(k.name); w != all[i].Value {
			all[i].Written = w
		}
	}
	return all
}

// WriteTo writes what is in force as TOML, each line with where it came from. Defaults are comments, so that what is loaded from
// the text is the same again.
func (c *Config) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	table := ""
	for _, s := range c.Settings() {
		at := strings.LastIndexByte(s.Key, '.')
		if t := s.Key[:max(at, 0)]; t != table {
			table = t
			fmt.Fprintf(&b, "\n[%s]\n", t)
		}
		from := s.From.String()
		if s.Written != "" {
			from = s.Written + ", " + from
		}
		mark := " "
		if s.From == (Origin{}) {
			mark = "#"
		}
		fmt.Fprintf(&b, "%s%-40s # %s\n", mark, s.Key[at+1:]+" = "+s.Value, from)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Change is a key whose value differs between two configurations.
type Change struct {
	Key  string `json:"key"`
	Old  string `json:"old"` // as TOML
	New  string `json:"new"`
	Need When   `json:"need"`
}

func (c Change) String() string {
	return fmt.Sprintf("%s: %s → %s (%s)", c.Key, c.Old, c.New, c.Need)
}

// Diff returns what differs, in the order of the documented file.
func Diff(old, new *Config) (changes []Change) {
	for i := range keys {
		k := &keys[i]
		if a, b := k.toml(old), k.toml(new); a != b {
			changes = append(changes, Change{k.name, a, b, k.when})
		}
	}
	return changes
}
