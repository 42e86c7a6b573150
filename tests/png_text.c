/* SPDX-License-Identifier: MIT
 * For shell tests: copies a PNG with another text. Usage: png_text IN.png OUT.png KEY VALUE; png_text IN.png KEY prints the text
 * that is there. Exit status: 0 done, 1 it failed. */
#include <stdio.h>

#include "brume/image.h"

int main(int argc, char **argv)
{
    brume_image *im = NULL;
    if (argc != 5 && argc != 3) return 1;
    if (brume_png_read(argv[1], &im) != BRUME_OK) return 1;
    if (argc == 3) {
        const char *text = brume_image_text(im, argv[2]);
        if (text) puts(text);
        brume_image_free(im);
        return !text;
    }
    const int failed = brume_image_set_text(im, argv[3], argv[4]) != BRUME_OK || brume_png_write(argv[2], im) != BRUME_OK;
    brume_image_free(im);
    return failed;
}
