package composer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A repository has two files for each package below its metadata-url: p2/vendor/package.json with the releases, and
// p2/vendor/package~dev.json with the development versions, which clients ask for only if they may need one.

// devMark ends the name of a package in the address of its file of development versions.
const devMark = "~dev"

// ParsePackagePath reads what a client asks for below p2/: "acme/log.json" or "acme/log~dev.json". ok is false if it
// is neither, or the name is not a valid one.
func ParsePackagePath(path string) (name string, dev, ok bool) {
	name, ok = strings.CutSuffix(path, ".json")
	if !ok {
		return "", false, false
	}
	name, dev = strings.CutSuffix(name, devMark)
	if CheckPackageName(name) != nil {
		return "", false, false
	}
	return name, dev, true
}

// SplitVersions sorts versions for their two files: releases and development versions, both newest first. Versions
// that cannot be read are left out.
func SplitVersions(versions []Metadata) (releases, development []Metadata) {
	type numbered struct {
		version Version
		data    Metadata
	}
	all := make([]numbered, 0, len(versions))
	for _, d := range versions {
		if v, ok := d.Version(); ok {
			all = append(all, numbered{v, d})
		}
	}
	slices.SortStableFunc(all, func(a, b numbered) int { return b.version.Compare(a.version) })
	for _, x := range all {
		if x.version.Stability() == Dev {
			development = append(development, x.data)
		} else {
			releases = append(releases, x.data)
		}
	}
	return releases, development
}

// AppendPackageFile appends the file of one package to dst, with its versions in the given order and in the minified
// form. It is the same for releases and development versions. A package without versions gets an empty list, though
// a repository answers 404 for one that does not exist.
func AppendPackageFile(dst []byte, name string, versions []Metadata) []byte {
	list, minified := Minify(versions)
	if !minified {
		list = versions
	}
	dst = append(dst, `{"packages":{`...)
	dst = appendQuoted(dst, name)
	dst = append(dst, ":["...)
	for i, d := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = d.append(dst)
	}
	dst = append(dst, "]}"...)
	if minified {
		dst = append(dst, `,"minified":"`+minifiedFormat+`"`...)
	}
	return append(dst, '}')
}

// ReadPackageFile reads a file as AppendPackageFile writes it and returns the versions of each package, expanded.
func ReadPackageFile(data []byte) (map[string][]Metadata, error) {
	var file struct {
		Packages map[string][]Metadata `json:"packages"`
		Minified string                `json:"minified"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("read package file: %w", err)
	}
	switch file.Minified {
	case "":
	case minifiedFormat:
		for name, versions := range file.Packages {
			file.Packages[name] = Expand(versions)
		}
	default:
		return nil, fmt.Errorf("read package file: unknown form %q, expected %q", file.Minified, minifiedFormat)
	}
	return file.Packages, nil
}
