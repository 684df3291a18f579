package release

import "regexp"

var namePattern = regexp.MustCompile(`^[a-z]+[a-z0-9-_]+$`)

// protectedNames mean something else in the script language.
var protectedNames = map[string]bool{"this": true, "string": true, "integer": true, "list": true, "dict": true, "func": true}

// ValidateName checks the name of an application: lower case letters first, then letters, digits, "-" and "_", at least
// two characters, and none of the words that the script language keeps for itself.
func ValidateName(name string) error {
	if protectedNames[name] {
		return invalidf("The name '%s' is a protected variable.", name)
	}
	if len(name) > 128 || !namePattern.MatchString(name) {
		return invalidf("Invalid name '%s'", name)
	}
	return nil
}

// ValidateNamespace checks the name of a namespace: "_" or what ValidateName takes.
func ValidateNamespace(name string) error {
	if name == DefaultProject {
		return nil
	}
	return ValidateName(name)
}
