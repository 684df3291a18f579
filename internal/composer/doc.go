// Package composer is the engine behind a private Composer repository. It knows versions and constraints with the
// semantics of composer/semver, the documents of the Composer repository protocol (packages.json, the p2 files and
// their minified form), composer.json, and the zip archives a version is distributed as.
//
// The package does no input or output of its own beyond the readers it is given: it knows neither HTTP nor a
// database.
//
// Versions and constraints follow composer/semver's regular expressions, whose possessive groups and look-behinds Go's
// regexp lacks; they are written here as hand scanners. Where the reference accepts something by accident (a line
// break inside a constraint hides all that follows it) this package refuses it; that is the only intended difference
// in what is accepted, and always in the direction of refusing.
package composer
