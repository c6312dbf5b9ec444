package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/keeper"
	"github.com/zswapd/zswapd/internal/logs"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/internal/serve"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "development"

const serveLong = `Serve swap for this machine: the kernel swaps to a compressed pool in this process.

With --keeper, a second small process holds what must outlive the daemon, and starts it anew when it dies: kill -9, a restart or
another program then cost those who swap some milliseconds, and nothing else. Under systemd the unit does that.

SIGTERM turns swap off, if memory has room for what comes back, and ends it; SIGUSR1 does so without asking for room: the
kernel may then end programs. SIGHUP reads the configuration again. SIGUSR2 hands over to the program's file anew.`

func serveCommand(code *int) *cobra.Command {
	swap, pool, hold := size(4<<30), size(0), rate(run.HoldAuto)
	var s serve.Settings
	var state string
	var keep bool
	var watchdog time.Duration
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve compressed swap for this machine",
		Long:  serveLong,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			s.SwapBytes, s.PoolBytes, s.HoldRate = int64(swap), int64(pool), float64(hold)
			if os.Geteuid() != 0 {
				return errors.New("only root may serve swap: run it with sudo, or as a unit of systemd")
			}
			if err := completeServe(&s); err != nil {
				return err
			}
			if keep {
				*code, err = runKeeper(state, watchdog)
			} else {
				*code, err = runDaemon(s, state)
			}
			return err
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&keep, "keeper", false, "keep what must outlive the daemon, and start it anew when it dies: where there is no systemd")
	f.StringVar(&s.Door, "door", serve.DoorAuto, "how the kernel's requests come: auto, ublk, or fuse (for programs under cgroup limits)")
	f.Var(&swap, "swap", "size of the swap device")
	f.Var(&pool, "pool-limit", "limit of the pool's memory, all overhead counted (default half of the memory, at most the swap device)")
	f.StringVar(&s.Compressor, "compressor", compressor.Default, "codec of the pool")
	f.BoolVar(&s.WipeOnFree, "wipe-on-free", false, "overwrite pages in memory when they go")
	f.IntVar(&s.Priority, "priority", 100, "priority of the swap device among others")
	f.Var(&hold, "latency-hold", "faults per second from which on idle CPUs are kept awake, off, or auto")
	f.DurationVar(&s.SpinMax, "spin", run.DefaultSpin, "longest time to spin for the next request; 0 for never")
	f.IntVar(&s.Threads, "threads", 0, "that serve; 0: what suits the machine")
	f.DurationVar(&watchdog, "watchdog", 30*time.Second, "of the keeper: a daemon whose requests stand still for so long is replaced; 0 for never")
	f.StringVar(&s.LogLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&state, "state", swapdev.DefaultDir, "folder of records of what was made")
	_ = f.MarkHidden("state")
	return c
}

// completeServe fills in what follows from the machine.
func completeServe(s *serve.Settings) error {
	s.AcceptThresholdPercent = 90
	if !slices.Contains([]string{serve.DoorAuto, serve.DoorFUSE, serve.DoorUBLK}, s.Door) {
		return run.UsageError{Err: fmt.Errorf("--door %q: want auto, ublk or fuse", s.Door)}
	}
	if s.PoolBytes == 0 {
		free, err := swapdev.MemAvailable()
		if err != nil {
			return err
		}
		s.PoolBytes = min(int64(free)/2, s.SwapBytes)
	}
	if _, err := compressor.New(s.Compressor); err != nil {
		return run.UsageError{Err: fmt.Errorf("--compressor: %w", err)}
	}
	return nil
}

// runKeeper keeps a daemon with the same arguments.
func runKeeper(state string, watchdog time.Duration) (int, error) {
	warnings := protect()
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, "zswapd: warning: keeper: "+w)
	}
	program, err := os.Executable()
	if err != nil {
		return exitMachine, err
	}
	program = strings.TrimSuffix(program, " (deleted)")
	args := append([]string{"@zswapd"}, slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool { return strings.HasPrefix(a, "--keeper") })...)
	log := logs.New(os.Stderr, logs.Journal(os.Stderr))
	defer log.Close()
	return keeper.Run(keeper.Options{Program: program, Args: args, Dir: state, Watchdog: watchdog, Say: func(text string) { log.Warn(text) }})
}

// runDaemon serves, and returns the exit code.
func runDaemon(s serve.Settings, state string) (int, error) {
	warnings := protect()
	manager, err := sdnotify.FromEnv()
	if err != nil {
		return exitMachine, err
	}
	handed, err := sdnotify.Listen()
	if err != nil {
		return exitMachine, err
	}
	keeperPID, _ := strconv.Atoi(os.Getenv(keeper.Env))
	log := logs.New(os.Stderr, logs.Journal(os.Stderr))
	defer log.Close()
	code, err := serve.Run(serve.Options{
		Settings: s, Warnings: warnings, State: state, Version: version, Log: log, Manager: manager, Handed: handed, Keeper: keeperPID,
	})
	return code, err
}

// protect takes all protections, and returns those that could not be had.
func protect() (warnings []string) {
	steps, _ := guard.Protect(guard.Options{KeepAtShutdown: true})
	for _, s := range steps {
		if !s.OK {
			warnings = append(warnings, s.String())
		}
	}
	return warnings
}

// checkStoreCommand is what another build is asked before it takes over.
func checkStoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:    serve.CheckCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return serve.Check(version) },
	}
}
