package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultPath is where the service's configuration is. It need not exist.
const DefaultPath = "/etc/zswapd/zswapd.toml"

// levels are the folders of a configuration below /etc, from the least to the most important, as systemd has them.
var levels = []string{"usr/lib", "run", "etc"}

// source is one file of a configuration.
type source struct {
	name string // as the user knows it
	path string
}

const maxFile = 1 << 20 // bytes

func (s source) read() ([]byte, error) {
	info, err := os.Stat(s.path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("config: %w", err)
	case info.Mode().IsRegular() && info.Size() > maxFile:
		return nil, fmt.Errorf("config: %s: %d bytes; want at most %d", s.name, info.Size(), maxFile)
	case info.Mode().IsRegular() && info.Mode().Perm()&0o002 != 0:
		return nil, fmt.Errorf("config: %s can be written by everybody; chmod o-w %s", s.name, s.name)
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1)) // a device, or a pipe, may have no end
	switch {
	case err != nil:
		return nil, fmt.Errorf("config: %w", err)
	case len(text) > maxFile:
		return nil, fmt.Errorf("config: %s: more than %d bytes", s.name, maxFile)
	}
	return text, nil
}

// layers returns the files of the configuration at path, those that count more later: the file itself, then the files *.toml and
// *.conf of the folder with .d after its name, by their names, but for hidden ones. If the path is below /etc, those of /usr/lib
// and /run come in: the file only where /etc has none, a drop-in only where no more important folder has one of its name. A
// drop-in that is empty, or a link to /dev/null, hides those below it.
func layers(root, path string) ([]source, error) {
	file, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	below, inEtc := strings.CutPrefix(file, "/etc/")
	places := []string{file}
	if inEtc {
		places = places[:0]
		for _, l := range levels {
			places = append(places, filepath.Join("/", l, below))
		}
	}
	var main *source
	dropIns := map[string]source{} // by the name of the file
	for _, p := range places {
		// /run/zswapd is where records are, too, and may be closed to others than root: for them it has nothing.
		none := func(err error) bool {
			return errors.Is(err, os.ErrNotExist) || p != file && errors.Is(err, os.ErrPermission)
		}
		// A link that leads nowhere is there: what it says is to be had later, when its file system is mounted.
		if _, err := os.Lstat(filepath.Join(root, p)); err == nil {
			main = &source{p, filepath.Join(root, p)}
		} else if !none(err) {
			return nil, fmt.Errorf("config: %w", err)
		}
		entries, err := os.ReadDir(filepath.Join(root, p+".d"))
		if err != nil && !none(err) {
			return nil, fmt.Errorf("config: %w", err)
		}
		for _, e := range entries {
			// Hidden ones are what editors put beside a file that is being written, such as links that lead nowhere.
			if ext := filepath.Ext(e.Name()); (ext == ".toml" || ext == ".conf") && !strings.HasPrefix(e.Name(), ".") {
				name := filepath.Join(p+".d", e.Name())
				dropIns[e.Name()] = source{name, filepath.Join(root, name)}
			}
		}
	}
	var files []source
	switch {
	case main != nil:
		files = append(files, *main)
	case file != DefaultPath:
		return nil, fmt.Errorf("config: %s: %w", path, os.ErrNotExist)
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		files = append(files, dropIns[name])
	}
	return files, nil
}
