package composer

import (
	"fmt"
	"strings"
)

// CheckPackageName reports what is wrong with the name of a package, nil if nothing is. A name is vendor/package in
// lower case; both begin and end with a letter or digit, and hold letters and digits with single separators (- _ .)
// between them, in the package also double hyphens. Names that Windows reserves and names that end in .json are
// refused, since Composer makes files and folders of them.
func CheckPackageName(name string) error {
	if len(name) > MaxPackageNameLength {
		return fmt.Errorf("package name %q is longer than %d bytes", shorten(name, 40), MaxPackageNameLength)
	}
	vendor, project, found := strings.Cut(name, "/")
	if !found {
		return fmt.Errorf("package name %q must have the form vendor/package", name)
	}
	for i := range len(name) {
		if 'A' <= name[i] && name[i] <= 'Z' {
			return fmt.Errorf("package name %q must be in lower case: %q", name, strings.ToLower(name))
		}
	}
	if !isNameSegment(vendor, 1) {
		return fmt.Errorf("package name %q: the vendor %q must be letters and digits with single -, _ or . between them",
			name, vendor)
	}
	if !isNameSegment(project, 2) {
		return fmt.Errorf("package name %q: %q must be letters and digits with single -, _ or . (or --) between them",
			name, project)
	}
	for _, segment := range [...]string{vendor, project} {
		if isReserved(segment) {
			return fmt.Errorf("package name %q: %q is reserved on Windows", name, segment)
		}
	}
	if strings.HasSuffix(project, ".json") {
		return fmt.Errorf("package name %q must not end in .json", name)
	}
	return nil
}

// isNameSegment checks one side of a package name; hyphens is how many may follow each other.
func isNameSegment(s string, hyphens int) bool {
	separators := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case isDigit(c), 'a' <= c && c <= 'z':
			separators = 0
			continue
		case i == 0:
			return false
		case c == '-' && separators < hyphens && strings.Trim(s[i-separators:i], "-") == "":
		case (c == '_' || c == '.') && separators == 0:
		default:
			return false
		}
		separators++
	}
	return s != "" && separators == 0
}

func isReserved(segment string) bool {
	switch segment {
	case "nul", "con", "prn", "aux":
		return true
	}
	return len(segment) == 4 && (segment[:3] == "com" || segment[:3] == "lpt") && '1' <= segment[3] && segment[3] <= '9'
}

// IsPlatformPackage reports whether a name stands for what the platform provides and no repository serves: php and
// its flavours, hhvm, ext-*, lib-*, composer and its APIs.
func IsPlatformPackage(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "php", "php-64bit", "php-ipv6", "php-zts", "php-debug", "hhvm",
		"composer", "composer-plugin-api", "composer-runtime-api":
		return true
	}
	if rest, ok := strings.CutPrefix(name, "ext-"); ok {
		return isNameSegment(rest, 1)
	}
	rest, ok := strings.CutPrefix(name, "lib-")
	return ok && isNameSegment(rest, 1)
}
