package main

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/bench"
	"github.com/zswapd/zswapd/internal/corpus"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

func benchPoolCommand() *cobra.Command {
	var o bench.Options
	var jsonFile, goFile, htmlFile string
	cluster := size(zpool.DefaultSettings().ClusterSize)
	c := &cobra.Command{
		Use:   "pool [flags]",
		Short: "Measure the pool with pages of real programs, beside zram",
		Long: `Store, load and store again pages in the pool: compress, allocate, check, find. Tells the time of a page, what
the pages take with all overhead counted, and what freeing and compaction leave. --against zram does the same with
the kernel's zram and the same pages, in turn, on devices made for it and removed; this needs root.`,
		Example: `  zswapd bench pool
  zswapd bench pool --corpus gen:typical --codec all --threads 1,2
  sudo zswapd bench pool --corpus DIR --against zram:lz4,zram:lzo-rle --json -`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			o.ClusterSize = int(cluster)
			out, err := newOutputs(output{"--json", jsonFile}, output{"--gobench", goFile}, output{"--html", htmlFile})
			if err == nil {
				err = usage(o.Complete())
			}
			if err != nil {
				return err
			}
			r, err := measurePool(c, &o)
			if err != nil {
				return err
			}
			return errors.Join(r.WriteText(out.text), out.write("--json", r.WriteJSON), out.write("--gobench", r.WriteGoBench),
				out.write("--html", func(w io.Writer) error { return r.WriteHTML(w, os.Args) }))
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringArrayVar(&o.Corpora, "corpus", nil, "file of raw 4 KiB pages, folder of such files named *.bin, or gen:NAME; repeatable (default all generated ones)")
	f.BoolVar(&o.Together, "together", false, "all corpora in one pool")
	f.StringSliceVar(&o.Codecs, "codec", nil, "codecs of the pool, or all (default "+compressor.Default+")")
	f.StringVar(&o.ColdCodec, "cold-codec", zpool.DefaultSettings().RecompressCodec, "codec that packs pages again when nobody asks for them")
	f.Var(&cluster, "cluster-size", "bytes of neighbours that are packed together then")
	f.StringSliceVar(&o.Against, "against", nil, "measure the kernel's zram beside it, such as zram:lz4,zram:lzo-rle; needs root")
	f.IntSliceVar(&o.Threads, "threads", nil, "numbers of threads (default 1)")
	f.IntVar(&o.Rounds, "rounds", 5, "rounds that count, of which the median is taken")
	f.Int64Var(&o.MaxPages, "pages", 0, "pages of a corpus, from its first on (default all; 8192 of generated ones)")
	f.StringVar(&jsonFile, "json", "", "write the result to this file as JSON; - for the standard output")
	f.StringVar(&goFile, "gobench", "", "write the result to this file as Go benchmarks, for benchstat; - for the standard output")
	f.StringVar(&htmlFile, "html", "", "write the result to this file as a page with charts; - for the standard output")
	f.StringVar(&o.State, "state", swapdev.DefaultDir, "folder of records of what runs have made")
	_ = f.MarkHidden("state")
	_ = c.RegisterFlagCompletionFunc("codec", cobra.FixedCompletions(append(compressor.Names(), "all"), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("corpus", cobra.FixedCompletions(corpus.Generated(), cobra.ShellCompDirectiveDefault))
	return c
}

// measurePool does. When it returns, signals end us again: who reads the result may let us wait.
func measurePool(c *cobra.Command, o *bench.Options) (*bench.Result, error) {
	ctx, stop := tidying(c.Context())
	defer stop()
	if len(o.Against) > 0 {
		cleanDead(ctx, o.State)
	}
	show, end := progress(os.Stderr)
	defer end()
	o.Progress = show
	return bench.Run(ctx, o)
}

// usage marks an error, if it is one, as the user's.
func usage(err error) error {
	if err != nil {
		err = run.UsageError{Err: err}
	}
	return err
}
