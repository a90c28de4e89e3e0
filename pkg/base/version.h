/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The version, said so that it can be read in a program's file without running it: a
 * program has VERSION_MARKED once, and whoever installs it looks for the mark.
 */
#define VERSION_MARK "@(#) sluice version "
#define VERSION_MARKED \
	__attribute__((used, retain)) static const char version_mark[] = VERSION_MARK SLUICE_VERSION
