package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/doctor"
	"github.com/zswapd/zswapd/internal/run"
)

func doctorCommand(code *int) *cobra.Command {
	var asJSON bool
	var file string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what stands in the way of swap to zswapd, and say what mends it",
		Long: `Look at the kernel, its settings, other swap, privileges and the service, and print what was found: each with the command
that mends it. Nothing is changed. The exit code is 0 if there is nothing to mend or to consider, else 1.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			f := doctor.Collect("/")
			c, err := config.Load(file, f.RAM)
			if err != nil {
				if errors.Is(err, os.ErrNotExist) {
					return run.UsageError{Err: err}
				}
				f.Config = strings.Split(err.Error(), "\n") // Problems have a line each; one that cannot be read is one, too
				if c, err = config.Load("", f.RAM); err != nil {
					return fmt.Errorf("doctor: %w", err)
				}
			}
			all := doctor.Check(f, c)
			if !doctor.Well(all) {
				*code = exitMachine
			}
			if !asJSON {
				return doctor.WriteText(os.Stdout, all)
			}
			e := json.NewEncoder(os.Stdout)
			e.SetIndent("", "  ")
			e.SetEscapeHTML(false)
			return e.Encode(struct {
				Version  int              `json:"version"`
				Well     bool             `json:"well"`
				Findings []doctor.Finding `json:"findings"`
			}{1, doctor.Well(all), all})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON, to which fields may be added")
	c.Flags().StringVar(&file, "config", config.DefaultPath, "the configuration to go by")
	return c
}
