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

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/keeper"
	"github.com/zswapd/zswapd/internal/logs"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/internal/serve"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "development"

const serveLong = `Serve swap for this machine: the kernel swaps to a compressed pool in this process.

With --keeper, a second small process holds what must outlive the daemon, and starts it anew when it dies: kill -9, a restart or
another program then cost those who swap a fraction of a second, and nothing else. Under systemd, which the unit sees to, the keeper
has a second line: what it holds is in systemd's store, too.

SIGTERM turns swap off, if memory has room for what comes back, and ends it; SIGUSR1 does so without asking for room: the
kernel may then end programs. SIGHUP reads the configuration again. SIGUSR2 hands over to the program's file anew.`

func serveCommand(code *int) *cobra.Command {
	var o serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve compressed swap for this machine",
		Long:  serveLong,
		Example: `  sudo zswapd serve --keeper
  sudo zswapd serve --keeper --set door=fuse --set swap.size=8GiB`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) (err error) {
			if os.Geteuid() != 0 {
				return errors.New("only root may serve swap: run it with sudo, or as a unit of systemd")
			}
			if o.watchdog != 0 && o.watchdog < minWatchdog {
				return run.UsageError{Err: fmt.Errorf("--watchdog %v: want %v at least, or 0 for never", o.watchdog, minWatchdog)}
			}
			serve := runDaemon
			if o.keeper {
				serve = runKeeper
			}
			begins := os.Getenv("NOTIFY_SOCKET") != "" && os.Getenv("LISTEN_FDS") == ""
			*code, err = serve(&o)
			if begins && (err != nil || *code == exitMachine || *code == exitUsage) {
				*code = exitConfig
			}
			return err
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.config, "config", config.DefaultPath, "the configuration, with drop-ins in a folder of this name and .d")
	f.StringArrayVar(&o.set, "set", nil, "KEY=VALUE, which counts more than the configuration; more than once if you like")
	f.BoolVar(&o.keeper, "keeper", false, "keep what must outlive the daemon, and start it anew when it dies, with systemd or without")
	f.DurationVar(&o.watchdog, "watchdog", 30*time.Second, "of the keeper: a daemon whose requests stand still for so long is replaced; 0 for never")
	f.BoolVar(&o.standby, "standby", false, "of the keeper: have the next daemon ready beside the one that serves, in 20 MiB; always so with ublk")
	f.StringVar(&o.state, "state", swapdev.DefaultDir, "folder of records of what was made")
	_ = f.MarkHidden("state")
	return c
}

// minWatchdog is the least time that a daemon is given: it looks at its device four times in it.
const minWatchdog = time.Second

type serveFlags struct {
	config, state string
	set           []string
	keeper        bool
	standby       bool
	watchdog      time.Duration
}

// load reads the configuration.
func (o *serveFlags) load() (*config.Config, error) {
	c, err := config.LoadWith(o.config, machine.Describe().MemoryBytes, "--set", o.set...)
	var problems config.Problems
	if errors.As(err, &problems) || errors.Is(err, os.ErrNotExist) {
		err = run.UsageError{Err: err}
	}
	return c, err
}

// runKeeper keeps a daemon with the same arguments.
func runKeeper(o *serveFlags) (int, error) {
	if os.Getenv("LISTEN_FDS") == "" { // before anything is done; a successor goes by what was saved
		if _, err := o.load(); err != nil {
			return exitUsage, err
		}
	}
	protect() // the daemon finds what could not be had, too, and says so
	manager, err := sdnotify.FromEnv()
	if err != nil {
		return exitMachine, err
	}
	handed, err := sdnotify.Listen()
	if err != nil {
		return exitMachine, err
	}
	program, err := os.Executable()
	if err != nil {
		return exitMachine, err
	}
	program = strings.TrimSuffix(program, " (deleted)")
	args := append([]string{"@zswapd"}, slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool { return strings.HasPrefix(a, "--keeper") })...)
	log := logs.New(os.Stderr, logs.Journal(os.Stderr))
	defer log.Close()
	if manager != nil && !sdnotify.HasStore() {
		log.Warn(sdnotify.NoStore)
	}
	return keeper.Run(keeper.Options{
		Program: program, Args: args, Dir: o.state, Watchdog: o.watchdog, Say: func(text string) { log.Warn(text) },
		Manager: manager, Handed: handed,
	})
}

// runDaemon serves, and returns the exit code.
func runDaemon(f *serveFlags) (code int, err error) {
	o := serve.Options{State: f.state, Version: version, Load: f.load, Warnings: protect()}
	if o.Manager, err = sdnotify.FromEnv(); err != nil {
		return exitMachine, err
	}
	if o.Handed, err = sdnotify.Listen(); err != nil {
		return exitMachine, err
	}
	if len(o.Handed) == 0 {
		if o.Config, err = f.load(); err != nil {
			return exitUsage, err
		}
	}
	o.Keeper, _ = strconv.Atoi(os.Getenv(keeper.Env))
	o.Program = os.Getenv(keeper.ProgramEnv)
	ahead, await := os.LookupEnv(keeper.StandbyEnv)
	o.Ahead, _ = strconv.Atoi(ahead)
	o.Await = await
	o.Standby = f.standby
	o.Log = logs.New(os.Stderr, logs.Journal(os.Stderr))
	defer o.Log.Close()
	return serve.Run(o)
}

// protect takes all protections, and returns those that could not be had.
func protect() (warnings []string) {
	steps, _ := guard.Protect(guard.Options{KeepAtShutdown: true})
	if err := guard.Hide(); err != nil {
		warnings = append(warnings, err.Error())
	}
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
		Args:   noArguments,
		RunE:   func(*cobra.Command, []string) error { return serve.Check(version) },
	}
}
