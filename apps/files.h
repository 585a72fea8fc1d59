#pragma once
// Folders and files that a command writes.

#include <cstdint>
#include <span>
#include <string>

namespace tern::app {

// Makes a folder and its parents. Throws IoError.
void make_folders(const std::string& path);

// Writes a file that can be made again (a drawn photo): no wait for the disk. Throws IoError and removes what
// was written when the disk is full. Files that must survive a crash go through core/fs.h.
void write_photo_file(const std::string& path, std::span<const uint8_t> bytes);

}  // namespace tern::app
