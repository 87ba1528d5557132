#!/bin/sh
# From nothing to an explained picture; called by `make demo` with the environment's bin folder.
set -eu
bin=$1
out=$2
model=models/toybirds/toybirds.onnx

rm -rf "$out"
echo "1. Draw the toy birds: 12 species, 40 pictures of each to find prototypes in and 5 it never saw"
"$bin/python" models/toybirds/generate.py --out "$out/data" --train 40 --test 5
echo "2. Export: find the head, discover the prototypes, write and verify the artifact"
"$bin/protohead" export "$model" --data "$out/data/train" --out "$out/artifact"
echo "3. Verify against the source model, on birds it has not seen"
"$bin/protohead" verify "$out/artifact" --model "$model" --data "$out/data/test" \
    --junit "$out/verify.xml"
echo "4. Explain one of those birds: what was looked for in it, and where"
image=$out/data/test/tidehopper/0002.jpg
"$bin/protohead" explain "$out/artifact" "$image" --out "$out/pictures"
cat <<END

Done. Look at
  $out/pictures/           the picture: what was looked for, where, and how much it counted
  $out/artifact/           the artifact; docs/format.md says what each file is
  $out/artifact/evidence/  the training crops that show what each prototype looks like
Next: $bin/protohead export YOUR_MODEL --data YOUR_IMAGES --out artifact --preset imagenet
END
