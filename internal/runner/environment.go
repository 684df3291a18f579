package runner

import (
	"fmt"
	"os"
	"strings"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment puts a script's environment together: PATH, HOME, TMPDIR, LANG, what is configured, what the command
// adds. Nothing else of the worker's environment gets through, since that is where database passwords and keys live.
func environment(configured map[string]string, c Command) ([]string, error) {
	var names []string
	values := map[string]string{}
	set := func(name, value string) {
		if _, ok := values[name]; !ok {
			names = append(names, name)
		}
		values[name] = value
	}
	set("PATH", orElse(os.Getenv("PATH"), defaultPath))
	set("LANG", orElse(os.Getenv("LANG"), "C.UTF-8"))
	set("HOME", orElse(c.Home, c.Dir))
	set("TMPDIR", orElse(c.Temp, c.Dir))
	for name, value := range configured {
		set(name, value)
	}
	for _, pair := range c.Env {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("an environment variable is not of the form NAME=value")
		}
		set(name, value)
	}
	env := make([]string, 0, len(names))
	for _, name := range names {
		pair := name + "=" + values[name]
		if strings.IndexByte(pair, 0) >= 0 {
			return nil, fmt.Errorf("the environment variable %q contains a NUL byte", strings.ReplaceAll(name, "\x00", ""))
		}
		env = append(env, pair)
	}
	return env, nil
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
