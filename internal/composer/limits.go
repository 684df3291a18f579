package composer

// Limits on text that comes from outside. They are far above anything seen in public packages and low enough that no
// input costs more than some microseconds to refuse.
const (
	// MaxVersionLength is the longest version, in bytes, before and after normalization.
	MaxVersionLength = 255
	// MaxConstraintLength is the longest constraint, in bytes.
	MaxConstraintLength = 2048
	// MaxConstraintTerms is the largest number of comparisons one constraint may hold; a range such as ^1.2 holds two.
	MaxConstraintTerms = 256
	// MaxPackageNameLength is the longest package name, vendor and slash included, in bytes.
	MaxPackageNameLength = 255
	// MaxManifestBytes is the largest composer.json.
	MaxManifestBytes = 1 << 20
	// MaxManifestDepth is how deep objects and lists of a composer.json may nest.
	MaxManifestDepth = 32
	// MaxManifestLinks is the largest number of entries in one of require, conflict, replace and their like.
	MaxManifestLinks = 1000
)
