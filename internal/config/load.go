package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/zswapd/zswapd/internal/report"
)

// Load reads the configuration at path with its drop-ins: see layers. The error is Problems, all there are, unless a file cannot
// be read. A path of "" is the defaults alone.
func Load(path string, ram int64) (*Config, error) { return load("/", path, ram, "") }

// LoadWith is Load with settings that come after all files, as those of With do: only together they must be right.
func LoadWith(path string, ram int64, by string, settings ...string) (*Config, error) {
	return load("/", path, ram, by, settings...)
}

// minRAM is the least for which the defaults make sense, in bytes.
const minRAM = 32 << 20

func load(root, path string, ram int64, by string, settings ...string) (*Config, error) {
	if ram < minRAM {
		return nil, fmt.Errorf("config: for a machine with %s of memory: want at least %s", report.Bytes(ram), report.Bytes(minRAM))
	}
	var entries []entry
	var problems Problems
	if path != "" {
		files, err := layers(root, path)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			text, err := f.read()
			if err != nil {
				return nil, err
			}
			e, p := parse(f.name, text)
			entries, problems = append(entries, e...), append(problems, p...)
		}
	}
	e, p := parseSettings(by, settings)
	return assemble(append(entries, e...), append(problems, p...), ram, true)
}

// With returns c with more settings, each KEY=VALUE as in a file; the quotes of a string may be left out. They come after all
// files; by says where they are from instead, in words. What has no effect with them is no mistake, as it would be in a file: who sets
// one cannot take another away. The error is Problems; c stays as it is.
func (c *Config) With(by string, settings ...string) (*Config, error) {
	e, p := parseSettings(by, settings)
	return assemble(append(slices.Clone(c.entries), e...), p, c.ram, false)
}

func parseSettings(by string, settings []string) (entries []entry, problems Problems) {
	for i, s := range settings {
		at := Origin{Line: i + 1, By: by}
		name, value, ok := strings.Cut(s, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			problems = append(problems, Problem{At: at, Seen: s, Want: s + ": want KEY=VALUE"})
			continue
		}
		e, p := parse("", []byte(name+" = "+value))
		if len(p) > 0 || len(e) != 1 || e[0].key != name {
			e, p = parse("", []byte(name+" = '"+value+"'")) // a string without quotes
		}
		if len(p) == 0 && (len(e) != 1 || e[0].key != name) {
			p = Problems{{Want: s + ": want one KEY=VALUE"}}
		}
		for j := range e {
			e[j].at = at
		}
		if p = p[:min(len(p), 1)]; len(p) > 0 { // of one setting
			p[0].At = at
		}
		entries, problems = append(entries, e...), append(problems, p...)
	}
	return entries, problems
}

// assemble lets the last entry of each key count. Values that do not count must be right all the same. strict: and what has no effect
// must not be there.
func assemble(entries []entry, problems Problems, ram int64, strict bool) (*Config, error) {
	c := &Config{ram: ram, entries: entries, origins: map[string]Origin{}}
	for i := range keys {
		k := &keys[i]
		e, _ := parse("", []byte(k.name+" = "+k.initial))
		if p, ok := k.take(c, e[0]); !ok {
			panic("config: a default that is none: " + p.Error())
		}
	}
	bad := map[string]bool{}
	for _, p := range problems {
		bad[p.Key] = true
	}
	for _, e := range entries {
		k := find(e.key)
		switch {
		case e.kind == unstable.Table:
			if !isTable(e.key) && !hasKeys(entries, e.key) { // else its keys are told of
				problems = append(problems, Problem{At: e.at, Key: "[" + e.key + "]", Want: "no such table; zswapd config show prints all there are"})
			}
		case k == nil:
			problems = append(problems, Problem{At: e.at, Key: e.key, Seen: e.seen(), Want: unknown(e.key)})
		default:
			p, ok := k.take(c, e)
			if !ok {
				problems = append(problems, p)
			}
			bad[k.name] = !ok
			c.origins[k.name] = e.at
		}
	}
	problems = append(problems, c.contradictions(bad, strict)...)
	if len(problems) > 0 {
		problems.sort(entries)
		return nil, problems
	}
	return c, nil
}

func hasKeys(entries []entry, table string) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return strings.HasPrefix(e.key, table+".") })
}
