package composer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// manifestChecker collects what is wrong with a composer.json.
type manifestChecker struct{ problems []ManifestProblem }

func (c *manifestChecker) add(field, message string) {
	if len(c.problems) < maxManifestProblems {
		c.problems = append(c.problems, ManifestProblem{Field: shorten(field, 120), Message: message})
	}
}

// member checks one member of the file. The shapes are those of Composer's schema, https://getcomposer.org/schema.json;
// an empty list stands for an empty object, since PHP cannot tell them apart.
func (c *manifestChecker) member(x member) {
	if string(x.value) == "null" {
		c.add(x.key, "must not be null")
		return
	}
	if string(x.value) == deletionMark {
		c.add(x.key, `must not be "__unset", which marks a removed member in minified metadata`)
		return
	}
	switch x.key {
	case "name":
		if name, ok := c.text(x); ok {
			if err := CheckPackageName(name); err != nil {
				c.add(x.key, err.Error())
			}
		}
	case "version":
		if version, ok := c.text(x); ok {
			if _, err := Normalize(version); err != nil {
				c.add(x.key, err.Error())
			}
		}
	case "type":
		if kind, ok := c.text(x); ok && (kind == "" || strings.ContainsFunc(kind, notTypeCharacter)) {
			c.add(x.key, "must be letters, digits and hyphens")
		}
	case "description", "homepage", "target-dir", "time", "readme":
		c.text(x)
	case "require", "require-dev", "conflict", "provide", "replace":
		c.links(x)
	case "suggest":
		c.decode(x, &map[string]string{}, "an object of texts")
	case "keywords", "include-path":
		c.decode(x, &[]string{}, "a list of texts")
	case "license":
		c.textOrList(x)
	case "bin":
		for _, path := range c.textOrList(x) {
			// Composer links these into the consumer's vendor/bin.
			if err := checkEntryName(path); err != nil {
				c.add(x.key, fmt.Sprintf("%q %s", shorten(path, 80), err))
			}
		}
	case "authors", "funding":
		c.decode(x, &[]map[string]any{}, "a list of objects")
	case "support", "autoload", "autoload-dev", "extra", "php-ext":
		c.decode(x, &map[string]any{}, "an object")
	case "abandoned":
		if x.value[0] != '"' {
			c.decode(x, new(bool), "true, false or the name of the package to use instead")
		}
	}
}

func notTypeCharacter(r rune) bool {
	return r >= 0x80 || !isLetter(byte(r)) && !isDigit(byte(r)) && r != '-'
}

// decode checks that the value fits into target; an empty list fits into an object.
func (c *manifestChecker) decode(x member, target any, expected string) bool {
	if string(x.value) == "[]" && strings.HasPrefix(expected, "an object") {
		return true
	}
	if err := json.Unmarshal(x.value, target); err != nil {
		c.add(x.key, "must be "+expected)
		return false
	}
	return true
}

func (c *manifestChecker) text(x member) (string, bool) {
	var s string
	ok := c.decode(x, &s, "text")
	return s, ok
}

func (c *manifestChecker) textOrList(x member) []string {
	if x.value[0] == '"' {
		s, _ := c.text(x)
		return []string{s}
	}
	var list []string
	c.decode(x, &list, "text or a list of texts")
	return list
}

// links checks require and its like: names of packages with constraints.
func (c *manifestChecker) links(x member) {
	var links map[string]*string
	if !c.decode(x, &links, "an object of constraints by package name") {
		return
	}
	if len(links) > MaxManifestLinks {
		c.add(x.key, fmt.Sprintf("has more than %d entries", MaxManifestLinks))
		return
	}
	for _, name := range sortedKeys(links) {
		field := x.key + "." + name
		if !IsPlatformPackage(name) {
			if err := CheckPackageName(strings.ToLower(name)); err != nil {
				c.add(field, err.Error())
			}
		}
		constraint := links[name]
		if constraint == nil {
			c.add(field, "must be a constraint")
			continue
		}
		if *constraint == "self.version" {
			continue
		}
		if _, err := ParseConstraint(*constraint); err != nil {
			c.add(field, err.Error())
		}
	}
}
