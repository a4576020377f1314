"""Images of hydrodask, and of the servers that its tests on Kubernetes need, without an engine.

oci        folders → an archive that every engine, registry tool and containerd takes; the same bytes every time
roots      pins → the file system of an image: Debian's packages, Python's, our own code, bytecode and kernels
trimming   what no platform needs goes
contents   what an image is made of (SBOM), what takes its space, what must not be in it
servers    the servers of the tests, out of what `hydrodask services up` pins

`make image` runs it, and so does the Containerfile, for those who have an engine. See README.md.
"""
