package config

import (
	"errors"
	"fmt"
	"strings"
)

// When is what a changed value needs to be in force.
type When int

const (
	Live    When = iota // nothing: reload does it
	Restart             // systemctl restart zswapd: nothing is swapped in for it
	Stop                // the kernel must bring back all pages first: systemctl stop, then start
)

func (w When) String() string {
	return [...]string{"live", "restart", "stop and start"}[w]
}

// MarshalText is String, for JSON.
func (w When) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// key is one setting: all there is to know about it.
type key struct {
	name    string
	initial string // the default, as TOML
	when    When
	doc     string // lines of at most 100 characters
	want    string
	set     func(c *Config, e entry) error // errKind: want says it all
	toml    func(c *Config) string         // the value in force
}

// setting makes a key whose value of type T is where at says.
func setting[T any](name, initial string, when When, k kind[T], at func(*Config) *T, doc string) key {
	return key{name: name, initial: initial, when: when, doc: doc, want: k.want,
		set: func(c *Config, e entry) error {
			v, err := k.parse(e, c.ram)
			if err == nil {
				*at(c) = v
			}
			return err
		},
		toml: func(c *Config) string { return k.toml(*at(c)) },
	}
}

// take sets the value in c, or says what is wrong with it.
func (k *key) take(c *Config, e entry) (p Problem, ok bool) {
	err := k.set(c, e)
	if err == nil {
		return p, true
	}
	p = Problem{At: e.at, Key: k.name, Seen: e.seen(), Want: k.want}
	if !errors.Is(err, errKind) {
		p.Want = fmt.Sprintf("%v; %s", err, k.want)
	}
	return p, false
}

// find returns the key of that name, or nil.
func find(name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

// isTable reports whether keys are in a table of that name.
func isTable(name string) bool {
	for i := range keys {
		if strings.HasPrefix(keys[i].name, name+".") {
			return true
		}
	}
	return false
}

// unknown says what may have been meant by a name that is no key.
func unknown(name string) string {
	if isTable(name) {
		return "is a table: write [" + name + "] on a line of its own"
	}
	best, least := "", 3 // so many letters may be wrong
	last := name[strings.LastIndexByte(name, '.')+1:]
	for i := range keys {
		k := keys[i].name
		if k[strings.LastIndexByte(k, '.')+1:] == last { // the right word in the wrong table
			return "no such key; do you mean " + k + "?"
		}
		if d := distance(name, k); d < least && 2*d < len(name) {
			best, least = k, d
		}
	}
	if best != "" {
		return "no such key; do you mean " + best + "?"
	}
	return "no such key; zswapd config show prints all there are"
}

// distance is how many letters must be changed, taken out or put in to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
