package site

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"

	"cmf/experiments/config"
)

// Config configures the command playground.
type Config struct {
	Out  string `desc:"folder to write the page to, for any web server to host; if empty, the page is served on this computer"`
	Port int    `default:"8321" range:"0|1024..65535" desc:"port of this computer at which the page is served; 0 for one that is free"`
	Open bool   `default:"true" desc:"open the page in the browser"`

	shared config.Command // of which this command has nothing
}

// Shared gives config.Load the presets, of which there is one.
func (c *Config) Shared() *config.Command {
	c.shared.Preset = "default"
	return &c.shared
}

// Execute is the command: it builds the page, then writes or serves it.
func Execute(ctx context.Context, env config.Environment, args []string, out io.Writer) error {
	c := new(Config)
	if _, err := config.Load(c, nil, env, args, out); err != nil {
		return err
	}
	fmt.Fprintln(out, "compiling the page for the browser; the first time this takes some minutes")
	s, err := Build(ctx)
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := s.Write(c.Out); err != nil {
			return fmt.Errorf("CMF_OUT=%s: %w", c.Out, err)
		}
		fmt.Fprintf(out, "%s: the page, for any web server, such as python3 -m http.server -d %s\n", filepath.Join(c.Out, "index.html"), c.Out)
		return nil
	}
	err = s.Serve(ctx, c.Port, func(url string) {
		fmt.Fprintf(out, "the playground is at %s until it is interrupted\n", url)
		if c.Open {
			open(url)
		}
	})
	if err != nil {
		return fmt.Errorf("CMF_PORT=%d: %w; name another port, or 0 for one that is free", c.Port, err)
	}
	return nil
}

// open opens an address in the browser, if there is one.
func open(url string) {
	command := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if command == nil {
		command = []string{"xdg-open"}
	}
	c := exec.Command(command[0], append(command[1:], url)...)
	if c.Start() == nil {
		go func() { _ = c.Wait() }()
	}
}
