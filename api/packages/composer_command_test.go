package packages_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"context"

	"slipway/internal/testenv"
)

// composerCommand gives the command of the real client: the one on PATH, else one that is unpacked from the packages of a
// Debian system into the user's cache folder; nothing is installed in the system. Where that cannot be done the test is
// skipped as "composer". A build server downloads nothing.
func composerCommand(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("composer"); err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		testenv.Unavailable(t, "composer", "not on PATH, and nothing is downloaded in CI")
	}
	path, err := unpackedComposer()
	if err != nil {
		testenv.Unavailable(t, "composer", err.Error())
	}
	return path
}

var unpackedComposer = sync.OnceValues(func() (string, error) {
	for _, command := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(command); err != nil {
			return "", fmt.Errorf("neither composer nor %s is on PATH", command)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, "slipway-test", "composer")
	wrapper := filepath.Join(root, "composer")
	if _, err := os.Stat(wrapper); err == nil {
		return wrapper, nil
	}
	if err := os.MkdirAll(filepath.Dir(root), 0o700); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(root), "composer-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := unpackComposer(work, root); err != nil {
		return "", err
	}
	// Another test process may have been faster.
	if err := os.Rename(work, root); err != nil {
		if _, there := os.Stat(wrapper); there != nil {
			return "", err
		}
	}
	return wrapper, nil
})

// unpackComposer downloads Debian's composer and what it needs into work, which will be renamed to root.
func unpackComposer(work, root string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	run := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = work
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, lastLine(string(out)))
		}
		return string(out), nil
	}
	// What would be installed; --print-uris only prints it.
	uris, err := run("apt-get", "install", "--print-uris", "-qq", "--no-install-recommends", "composer", "php-cli", "php-zip", "php-curl", "php-mbstring", "php-intl")
	if err != nil {
		return err
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^'[^']+' ([^_\s]+)_`).FindAllStringSubmatch(uris, -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		return fmt.Errorf("apt-get knows no package of composer")
	}
	if _, err := run("apt-get", append([]string{"download", "-qq", "-o", "APT::Sandbox::User=root"}, names...)...); err != nil {
		return err
	}
	debs, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	for _, deb := range debs {
		if _, err := run("dpkg-deb", "-x", deb, "root"); err != nil {
			return err
		}
		if err := os.Remove(deb); err != nil {
			return err
		}
	}
	return writeWrapper(work, root)
}

// writeWrapper writes the script that runs the unpacked composer with the unpacked PHP, or with the system's where that
// was installed already.
func writeWrapper(work, root string) error {
	inRoot := func(pattern string) string {
		found, _ := filepath.Glob(filepath.Join(work, "root", pattern))
		if len(found) == 0 {
			return ""
		}
		return strings.Replace(found[0], work, root, 1)
	}
	script := "#!/bin/sh\nexport LD_LIBRARY_PATH='" + inRoot("usr/lib/*-linux-gnu") + "'\nexec "
	if php := inRoot("usr/bin/php[0-9]*"); php != "" {
		script += "'" + php + "' -n -d extension_dir='" + inRoot("usr/lib/php/20*") + "'"
		for _, e := range []string{"ctype", "phar", "tokenizer", "iconv", "mbstring", "curl", "zip", "posix", "intl"} {
			if inRoot("usr/lib/php/20*/"+e+".so") != "" {
				script += " -d extension=" + e
			}
		}
	} else {
		script += "php"
	}
	composer := inRoot("usr/bin/composer")
	if composer == "" {
		return fmt.Errorf("the package of composer has no composer")
	}
	script += " -d include_path=.:'" + inRoot("usr/share/php") + "':/usr/share/php '" + composer + "' \"$@\"\n"
	return os.WriteFile(filepath.Join(work, "composer"), []byte(script), 0o700)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
