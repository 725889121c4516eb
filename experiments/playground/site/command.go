package site

import (
	"context"
	"fmt"
	"io"
	"net"
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
	if c.Out != "" {
		if err := checkFolder(c.Out); err != nil {
			return fmt.Errorf("CMF_OUT=%s: %w", c.Out, err)
		}
		return write(ctx, c.Out, out)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
	if err != nil {
		return fmt.Errorf("CMF_PORT=%d: %w; name another port, or 0 for one that is free", c.Port, err)
	}
	defer listener.Close()
	s, err := build(ctx, out)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s/", listener.Addr())
	fmt.Fprintf(out, "the playground is at %s until it is interrupted\n", url)
	if c.Open {
		open(url)
	}
	return s.Serve(ctx, listener)
}

// build is Build, with a word on what takes so long.
func build(ctx context.Context, out io.Writer) (Site, error) {
	fmt.Fprintln(out, "compiling the page for the browser; the first time this takes some minutes")
	return Build(ctx)
}

func write(ctx context.Context, folder string, out io.Writer) error {
	s, err := build(ctx, out)
	if err != nil {
		return err
	}
	if err := s.Write(folder); err != nil {
		return fmt.Errorf("CMF_OUT=%s: %w", folder, err)
	}
	fmt.Fprintf(out, "%s: the page, for any web server, such as python3 -m http.server -d %s\n", filepath.Join(folder, "index.html"), folder)
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
