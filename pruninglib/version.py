"""The version of the library; results of another one are not taken for those of this one."""

VERSION = "0.1.0"
