package bench

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/corpus"
	"github.com/zswapd/zswapd/internal/zram"
	"github.com/zswapd/zswapd/zpool"
)

const (
	generatedPages = 8192 // of a corpus that is made: 32 MiB
	maxThreads     = 256
	maxRounds      = 1000
	allCodecs      = "all"
	zramPrefix     = "zram:"
)

// Options say what to measure.
type Options struct {
	Corpora  []string // as corpus.Find takes them; none: the generated ones
	Together bool     // all corpora in one store
	Codecs   []string // names that compressor.New takes, or all; none: the pool's default
	Against  []string // such as zram:lz4
	Threads  []int    // none: one
	Rounds   int      // that count
	MaxPages int64    // of a corpus, from its first on; 0: all

	ColdCodec   string // of pages that nobody asks for; "": the pool's default
	ClusterSize int    // bytes of pages packed together; 0: the pool's default

	State string // folder of records of what a run has made; "": none are made, and what a kill leaves stays

	// Progress, if any, is told how many of how many steps are done, and what is next.
	Progress func(done, total int, next string)

	sources    []corpus.Source
	algorithms []string
}

// Complete fills in the defaults and reports every mistake of the user's at once. It does not look at zram.
func (o *Options) Complete() error {
	var errs []error
	check := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Rounds < 1 || o.Rounds > maxRounds, "--rounds %d: want 1 to %d", o.Rounds, maxRounds)
	check(o.MaxPages < 0 || o.MaxPages > zpool.MaxSlots, "--pages %d: want at most %d", o.MaxPages, int64(zpool.MaxSlots))
	d := zpool.DefaultSettings()
	o.ColdCodec, o.ClusterSize = cmp.Or(o.ColdCodec, d.RecompressCodec), cmp.Or(o.ClusterSize, d.ClusterSize)
	if _, err := compressor.Canonical(o.ColdCodec); err != nil {
		errs = append(errs, fmt.Errorf("--cold-codec: %w", err))
	}
	pages := o.ClusterSize / zpool.PageSize
	check(pages*zpool.PageSize != o.ClusterSize || pages < 1 || pages > zpool.MaxClusterPages || pages&(pages-1) != 0,
		"--cluster-size %d: want a power of two from %d to %d bytes", o.ClusterSize, zpool.PageSize, zpool.MaxClusterPages*zpool.PageSize)
	if len(o.Threads) == 0 {
		o.Threads = []int{1}
	}
	for _, n := range o.Threads {
		check(n < 1 || n > maxThreads, "--threads %d: want 1 to %d", n, maxThreads)
	}
	o.Threads = unique(o.Threads)
	errs = append(errs, o.completeCodecs(), o.completeAgainst(), o.completeCorpora())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range o.sources {
		s := &o.sources[i]
		if o.MaxPages > 0 {
			s.Pages = min(s.Pages, o.MaxPages)
		}
		most := slices.Max(o.Threads)
		check(s.Pages < int64(most), "--threads %d: corpus %s has only %d pages", most, s.Name, s.Pages)
		same, err := s.SameFilled()
		errs = append(errs, err)
		check(same, "corpus %s: all of its %d pages are same-filled, which take no memory: no figure would mean anything", s.Name, s.Pages)
	}
	return errors.Join(errs...)
}

func (o *Options) completeCodecs() error {
	if len(o.Codecs) == 0 {
		o.Codecs = []string{compressor.Default}
	}
	var names []string
	var errs []error
	for _, name := range o.Codecs {
		if name == allCodecs {
			names = append(names, compressor.Names()...)
			continue
		}
		c, err := compressor.New(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("--codec: %w, or %s", err, allCodecs))
			continue
		}
		names = append(names, c.Name())
	}
	o.Codecs = unique(names)
	return errors.Join(errs...)
}

func (o *Options) completeAgainst() error {
	var errs []error
	for _, name := range o.Against {
		algorithm, ok := strings.CutPrefix(name, zramPrefix)
		if !ok || algorithm == "" {
			errs = append(errs, fmt.Errorf("--against %q: want zram and an algorithm, such as zram:lz4", name))
		}
		o.algorithms = append(o.algorithms, algorithm)
	}
	o.algorithms = unique(o.algorithms)
	return errors.Join(errs...)
}

func (o *Options) completeCorpora() (err error) {
	if len(o.Corpora) == 0 {
		o.Corpora = corpus.Generated()
	}
	pages := int64(generatedPages)
	if o.MaxPages > 0 {
		pages = o.MaxPages
	}
	o.sources, err = corpus.Find(o.Corpora, pages)
	return err
}

// unique drops what was there before.
func unique[T comparable](list []T) (out []T) {
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// checkZRAM finds out now whether there is what Against asks for.
func (o *Options) checkZRAM() error {
	if len(o.algorithms) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("--against zram needs root: run it with sudo, or without --against")
	}
	known, err := zram.Algorithms()
	if err != nil {
		return fmt.Errorf("--against: %w", err)
	}
	for _, a := range o.algorithms {
		if !slices.Contains(known, a) {
			return fmt.Errorf("--against zram:%s: this kernel's zram has %s", a, strings.Join(known, ", "))
		}
	}
	return nil
}
