"""Code that was changed without changing any result, by the hash of it and of what came before.

A fingerprint holds a hash of the code behind a result (code_identity.py). Whoever changes such code
so that everything that could be asked of it before still comes out with the same bytes, for example
to let it do more, adds a line here for each hash that changed; docs/contributing.md says how. Then
nothing that others have computed is computed again.
"""

SAME_RESULTS: dict[str, str] = {
    # Networks that read clips came beside those of images.
    # adabn efficientnet
    "12b09c8d6ddafc13f2d04924c0e9d9274594d1d51658960bb9b592f1d816ef90": (
        "087636095496a86ca2819cbfb8bc5da0e321282ebe8fe75b6e51b9c9562eef24"
    ),
    # adabn resnet
    "eb552e6b5f07ed2007297b293691ccc68d4de770999af660c58a09503f39e4d0": (
        "c5973c6a57bf15f22633384d9785bba2ddb261f2973e148ab0e3b50a5f78a54b"
    ),
    # features efficientnet
    "a7f19934185e0669121646303bab8c03594f88c2459d0aab4f940c96640ef0dd": (
        "79e291b4d938f208186eba95a55260173af1cebbe92f4516d8d28eb03352de45"
    ),
    # features resnet
    "b4527384c970eb2d95701b8088b452925ac75abf8b01523692b1e3258158d2f0": (
        "50bf36e0381aba01f5a0943ac0196028ba0a09e844952b891c47bb151fc265f4"
    ),
    # finetune efficientnet
    "4561ee3caf2bb3d656c230c3c9b50daa694f3a9c6caa65df9e4d662421f4d7d7": (
        "f627f790f397913fd31bb658691dfdbe9e11a50486bfa3f4afbea99f2a05aedb"
    ),
    # finetune resnet
    "f18f5f8ccee2587f32d5dded373837b2d26a0f56a672423d7cf1f92e08b7fa76": (
        "e635d401fdada35f1614b12ebd03efdb5451a1f9474c1b3400cf98290f476948"
    ),
    # The training of temporal networks came to offer more losses, schedules, averages, variants.
    # train rnn
    "b8cdae5f271de150ca8fca79d1f0738a5475bca9a64e0aa1442b80070ef97dfd": (
        "119361db11f9fbf3fe2fd521e06fdd9d4d997469642554216af4a89c7d7ff283"
    ),
    # train tecno
    "12062bf386d078f79cc850f12c5bce34cc4855cc367bea363e70ca4628018ff0": (
        "f62e76a76e1bb4280fd7fe9d6794fb58a396f2a3ac8e8f587b8a465b0504ccff"
    ),
}
"""Hash of the code as it is, to the hash under which its results are kept."""
