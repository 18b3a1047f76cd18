"""The release of the template that this layer comes from; CHANGELOG.md of the template tells them apart."""

VERSION = "1.0.0"
