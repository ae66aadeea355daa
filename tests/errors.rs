//! What bad input gets: each error as it is printed, and its exit code, 2 for what was typed and 1 for what was found.
//!
//! None of it may panic, reach the network, or leave a run behind.

mod support;

use std::fs;
use std::path::Path;

use support::{Place, SMALL, images_and_labels, png, safetensors, tar};

/// CIFAR-10 from files that are written for the test; nothing is trained.
const CIFAR: &str = r#"
model   = "resnet8"
dataset = "cifar10"
batch   = 128
length  = { epochs = 1 }
[optimizer.sgd]
[schedule.constant]
rate = 0.1
"#;

/// A study whose effect is of an experiment that it has not.
const STUDY: &str = r#"
study      = "degradation"
title      = "small"
about      = "What is wrong?"
recipe     = "small.toml"
seeds      = 2
factor     = ["model"]
experiment = [{ name = "plain-8", set = ["model=plain8"] }, { name = "residual-8" }]
effect     = [{ says = "shortcuts help", worse = "plain8", better = "residual-8" }]
"#;

/// Runs each line, all of which must end with this code, and returns what they say.
fn told<'a>(place: &Place, code: i32, lines: impl IntoIterator<Item = &'a str>) -> String {
    let each = lines.into_iter().map(|line| {
        let said = place.train(line).is(code);
        assert_eq!(said.stdout, "", "train {line}");
        let begun = fs::read_dir(place.path("runs")).into_iter().flatten();
        for run in begun {
            let plan = run.unwrap().path().join("plan.toml");
            assert!(!plan.exists(), "train {line} left a run");
        }
        format!(
            "train {line}\n\n{}",
            without_numbers(said.stderr.trim_end())
        )
    });
    each.collect::<Vec<_>>().join("\n\n----\n\n")
}

/// Without the numbers of the system's errors, which differ between systems.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once(')').map_or(part, |(_, rest)| rest)
    })
}

#[test]
fn what_is_typed_wrong() {
    let place = Place::new();
    place.write("mnist.toml", CIFAR.replace("cifar10", "mnist"));
    place.write("cifar.toml", CIFAR);
    place.write(
        "broken.toml",
        SMALL.replace("batch      = 32", "batch      = 32 images"),
    );
    place.write("typo.toml", SMALL.replace("weight_decay", "weight_decy"));
    place.write("latin1.toml", b"model = \"r\xe9sum\xe9\"");
    place.write("empty.toml", "");
    fs::create_dir(place.path("folder.toml")).unwrap();
    place.write("small-study.toml", STUDY);
    let lesion = STUDY.replace("degradation", "lesion");
    let effect = lesion.find("effect").expect("the study has one");
    let pathless = lesion[..effect].replace("lesion", "paths");
    place.write("pathless.toml", pathless);
    let whole = lesion[..effect].replace("model=plain8", "model=lenet5");
    place.write("small-images.toml", &whole);
    let larger = r#"["model=lenet5", "augment.train=[{resize={size=28,interpolation='bilinear'}}]", "augment.test=[{resize={size=28,interpolation='bilinear'}}]"]"#;
    place.write("whole.toml", whole.replace("[\"model=lenet5\"]", larger));
    let stranger = r#"network = [{ name = "../x", weights = "x.pth", dataset = "digits" }]"#;
    place.write("strangers.toml", format!("{}{stranger}", &lesion[..effect]));
    let scaled = stranger
        .replace("../x", "x")
        .replace(" }]", ", std = [0.0] }]");
    place.write("scaled.toml", format!("{}{scaled}", &lesion[..effect]));
    let compare = STUDY.replace("degradation", "compare");
    place.write(
        "compared.toml",
        format!("models = [\"lenet5\", \"resnt20\"]{compare}"),
    );
    place.write("twins.toml", lesion.replace("plain-8", "residual-8"));
    place.write("configs/first/twin.toml", SMALL);
    place.write("configs/second/twin.toml", SMALL);
    let told = told(
        &place,
        2,
        [
            // The recipe as a file.
            "--config nowhere.toml",
            "--config resnt18.toml",
            "--config resnet20",
            "--config folder.toml",
            "--config latin1.toml",
            "--config broken.toml",
            "--config empty.toml",
            "--config typo.toml",
            "--config twin.toml",
            // Its keys.
            "--config small.toml --set batch_size=64",
            "--config small.toml --set batch=many",
            "--config small.toml --set batch=0",
            "--config small.toml --set length.steps=0",
            "--config small.toml --set validation.images=0",
            "--config small.toml --set log.every=0",
            "--config small.toml --set eval.batch=0",
            "--config small.toml --set model=nin --set gradient_checkpointing=true",
            "--config quickstart.toml --set schedule={plateau={start=0.1,divide_by=10,patience=1}}",
            "--config small.toml --set schedule={exponential={start=0.1,multiply_by=1.1,every={steps=3}}}",
            "--config small.toml --set optimizer={rmsprop={decay=0.9,epsilon=1,variant=\"keras\"}}",
            "--config small.toml --set optimizer={adamw={betas=[0.9],epsilon=1e-8}}",
            "--config small.toml --set loss={kind=\"hinge\"}",
            "--config small.toml --set loss={target_threshold=0.2}",
            "--config small.toml --set loss={kind=\"bce\",target_threshold=1}",
            "--config small.toml --set sampled_blocks=0",
            "--config small.toml --set sampled_blocks=4",
            "--config small.toml --set model=plain8 --set sampled_blocks=1",
            "--config small.toml --set sampled_blocks=2 --set gradient_checkpointing=true",
            "bench --model lenet5 --gradient-checkpointing",
            "reproduce he2015",
            "reproduce resnets",
            "reproduce he2015-cifar10 --protocol hours",
            "reproduce he2015-cifar10 --only resnet21",
            "reproduce he2015-cifar10 --shard 3/2",
            "reproduce he2015-cifar10 --seeds 1000000000000",
            "study degradation --config studies/nothing.toml",
            "study degradation --config quickstart.toml",
            "study shortcuts --config studies/degradation-minutes.toml",
            "study degradation --config small-study.toml",
            "study degrade --config small-study.toml",
            "study lesion --config strangers.toml",
            "study lesion --config twins.toml",
            "study lesion --config small-images.toml",
            "study lesion --config whole.toml",
            "study paths --config pathless.toml",
            "study lesion --config scaled.toml",
            "study compare --config compared.toml",
            "reproduce mine --targets nothing.toml",
            "reproduce mine --targets small.toml",
            "--config small.toml --set checkpoint.keep=0",
            "--config small.toml --set augment.train.0.random_crop.size=0",
            "--config small.toml --set augment.train=[{random_resized_crop={size=8,scale=[0.5,0.1],ratio=[0.75,1.5],interpolation=\"bilinear\"}}]",
            "--config small.toml --set augment.train=[{random_resized_crop={size=8,scale=[0.5,1],ratio=[0.75],interpolation=\"bilinear\"}}]",
            "--config small.toml --set augment.train=[{random_resized_crop={size=8,scale=[0.5,1],ratio=[0.75,1.5],interpolation=\"bilinaer\"}}]",
            "--config small.toml --set augment.train=[{scale_jitter={shorter_side=[10,9],size=8,interpolation=\"bilinear\"}}]",
            "--config small.toml --set augment.train=[{scale_jitter={shorter_side=[6,9],size=8,interpolation=\"bilinear\"}}]",
            "--config small.toml --set augment.train=[{resize={size=8}}]",
            "--config small.toml --set augment.train=[{resize={size=5000,interpolation=\"bilinear\"}}]",
            "--config small.toml --set augment.train=[{center_crop={size=9}}]",
            "--config small.toml --set augment.train=[{color_jitter={hue=0.6}}]",
            "--config small.toml --set augment.train=[{auto_augment={policy=\"cifar\"}}]",
            "--config small.toml --set augment.train=[{rand_augment={num_ops=2,magnitude=31,num_magnitude_bins=31}}]",
            "--config small.toml --set augment.train=[{random_erasing={probability=0.1,scale=[0.02,0.3],ratio=[0.3,3],value=\"noise\"}}]",
            "--config small.toml --set augment.train=[{normalize=\"per-channel\"},{trivial_augment_wide={num_magnitude_bins=31}}]",
            "--config small.toml --set augment.mix=[{mixup={alpha=0}}]",
            "--config small.toml --set augment.mix=[{mixup={alpha=1}},{cutmx={alpha=1}}]",
            "--config small.toml --set augment.repeated_augmentation=0",
            "--config small.toml --set on_bad_image=ignore",
            "stats",
            "stats cifar",
            "--config small.toml --set length={steps=3,epochs=1}",
            "--config small.toml --set optimizer.sgd.momentum=-0.9",
            "--config small.toml --set model=resnet9",
            "--config small.toml --set dataset=cifar-10",
            "--config small.toml --set model.bottleneck_stride=3x3",
            "--config small.toml --set whiten.images=10 --set whiten.epsilon=0.001",
            "--config small.toml --set freeze=[\"stage4\"]",
            "--config small.toml --set freeze=[\"stem\",\"layer\"]",
            "--config small.toml --set freeze=stem",
            "--config small.toml --set freeze=[\"stem\",\"stage1\",\"stage2\",\"stage3\",\"head\"]",
            "--config small.toml --set init={weights=\"w.pth\",only=[\"stages\"]}",
            "--config small.toml --set init={weights=\"w.pth\",model=\"resnet9\"}",
            "--config small.toml --set init={model=\"resnet8\"}",
            "check --config small.toml --set freeze=[\"stage4\"]",
            "--config mnist.toml --set model.name=lenet5 --set model.shortcut=A",
            "--config mnist.toml --set model.name=lenet5 --set model.activation=prelu",
            "--config mnist.toml --set model.name=plain20 --set model.stochastic_depth=0.5",
            "--config mnist.toml --set model.name=plain20 --set model.manipulation.dropout=0.5",
            "--config mnist.toml --set model.name=resnet20 --set model.manipulation.dropout=1",
            "--config mnist.toml --set model.name=resnet20 --set model.manipulation.exclusive_gating.bias=inf",
            "--config small.toml --set batch",
            "--config small.toml --set augment.train.3.flip.probability=1",
            // What a dataset has, by its manifest: nothing is fetched.
            "--config small.toml --set batch=1100",
            "--config cifar.toml --set batch=50001",
            "--config cifar.toml --set validation.images=50000",
            "--config cifar.toml --set model=lenet5",
            "--config mnist.toml --set model=resnet18 --set augment.train=[{random_crop={size=40,padding=0}}]",
            "--config mnist.toml --set augment.train=[{pca_color={std=0.1}}]",
            "check --config cifar.toml --set model=lenet5",
            "--config cifar.toml --set dataset=imagenet",
            // Flags.
            "--config small.toml --device gpu",
            "--config small.toml --device cuda",
            "--config small.toml --device wgpu:1",
            "--config small.toml --device ndarray",
            "--config small.toml --threads 0",
            "--config small.toml --workers many",
            "--config small.toml --workers 18446744073709551615",
            "--config small.toml --threads 1000000",
            "--config small.toml --seed -1",
            "--config small.toml --sed 3",
            "--resume",
            "eval --model resnet9 --weights w.pth --dataset digits",
            "eval --model resnet8 --weights w.pth --dataset digit",
            "eval --model resnet8 --weights w.pth --dataset digits --batch 0",
            "eval --model resnet8 --dataset digits",
            "convert --model resnet8 --weights w.pth --output w.pth",
            "convert --model resnet8 --weights w.pth",
            "features --at stage1 --model resnet8 --weights w.pth --output f.safetensors",
            "predict --run runs/small-s3",
            "predict --model resnt50 --weights w.pth dog.png",
            "predict --run runs/small-s3 --input x.safetensors",
            "predict --run runs/small-s3 --input x.safetensors --output y.safetensors dog.png",
            "predict --run runs/small-s3 dog.png --resize 0",
            "describe resnt20",
            "describe lenet5 --size 8",
            "describe resnet20 --size 100000",
            "describe resnet20 --classes 100000000000",
            "bench --model resnt20",
            "bench --model lenet5 --size 8",
            "bench --model lenet5 --precision bf17",
            "parity --device cpu",
            "parity --model resnt20 --device cpu",
            "--config quickstart.toml --set precision=bf17",
            "bench --model resnet20 --batch 0",
            "bench --model resnet20 --batch 18446744073709551615",
            "bench --model resnet152 --size 2048 --batch 16",
            "bench --model resnet20 --steps 1000001",
            "bench --model resnet20 --mode test",
            "fetch cifar",
        ],
    );
    insta::assert_snapshot!(told);
}

#[test]
fn a_dataset_that_is_not_there_and_no_network() {
    let place = Place::new();
    place.write("cifar.toml", CIFAR);
    let told = told(
        &place,
        1,
        [
            "--config cifar.toml --data-dir data",
            "--config cifar.toml --set dataset=mnist --data-dir data",
            "fetch cifar100 --data-dir data",
            "fetch imagenet --data-dir data",
            "--config cifar.toml --set dataset=imagenet --set augment.train=[{random_resized_crop={size=32,scale=[0.08,1],ratio=[0.75,1.3],interpolation=\"bilinear\"}}] --set augment.test=[{resize={size=36,interpolation=\"bilinear\"}},{center_crop={size=32}}] --data-dir data",
            "eval --model resnet8 --weights w.pth --dataset mnist --data-dir data",
        ],
    );
    insta::assert_snapshot!(told);
}

/// A CIFAR-10 file has 10,000 records of 3,073 bytes.
const CIFAR_FILE: u64 = 30_730_000;

#[test]
fn data_files_that_are_damaged() {
    let place = Place::new();
    place.write("cifar.toml", CIFAR);
    place.write("mnist.toml", CIFAR.replace("cifar10", "mnist"));
    let file = |place: &str, name: &str| format!("{place}/cifar-10-batches-bin/{name}");
    place.write_sparse(&file("cut", "data_batch_1.bin"), &[], CIFAR_FILE - 1);
    place.write_sparse(&file("long", "data_batch_1.bin"), &[], CIFAR_FILE + 3073);
    place.write(&file("empty", "data_batch_1.bin"), "");
    place.write_sparse(&file("label", "data_batch_1.bin"), &[10], CIFAR_FILE);
    place.write_sparse(&file("lacking", "data_batch_1.bin"), &[], CIFAR_FILE);
    place.write("nothing/cifar-10-batches-bin/readme.html", "");
    place.write(
        "corrupt/cifar-10-binary.tar.gz",
        gzip_that_ends_early(b"\x07"),
    );
    place.write("html/cifar-10-binary.tar.gz", "<!DOCTYPE html>");
    place.write(
        "idx/mnist/train-images-idx3-ubyte.gz",
        gzip_that_ends_early(&[0, 0, 8, 3, 0, 0]),
    );
    place.write("idx/mnist/train-labels-idx1-ubyte.gz", "");
    place.write(
        "magic/mnist/train-images-idx3-ubyte",
        [[0, 0, 8, 1], [0, 0, 0, 8], [7; 4], [7; 4]].concat(),
    );
    place.write(
        "magic/mnist/train-labels-idx1-ubyte",
        [0, 0, 8, 1, 0, 0, 0, 1, 7],
    );
    let told = told(
        &place,
        1,
        [
            "--config cifar.toml --data-dir cut",
            "--config cifar.toml --data-dir long",
            "--config cifar.toml --data-dir empty",
            "--config cifar.toml --data-dir label",
            "--config cifar.toml --data-dir lacking",
            "--config cifar.toml --data-dir nothing",
            "--config cifar.toml --data-dir corrupt",
            "--config cifar.toml --data-dir html",
            "--config mnist.toml --data-dir idx",
            "--config mnist.toml --data-dir magic",
        ],
    );
    insta::assert_snapshot!(told);
}

/// Archives of image files: cut off, with files that are none, with classes that are none.
#[test]
fn archives_of_images_that_are_damaged() {
    let place = Place::new();
    let image = png(8, 8, &[7; 64]);
    let member = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    let sound = tar(&[member("0/a.png", &image), member("0/a.cls", b"0")]);
    let shard = |folder: &str, bytes: &[u8]| {
        place.write(&format!("{folder}/train-000000.tar"), bytes);
        place.write(&format!("{folder}/classes.txt"), "cat\ndog\n");
    };
    shard("cut", &sound[..sound.len() / 2]);
    shard("between", &sound[..1024]);
    shard(
        "stranger",
        &tar(&[member("0/a.png", b"no image"), member("0/a.cls", b"0")]),
    );
    shard("classless", &tar(&[member("0/a.png", &image)]));
    shard(
        "named",
        &tar(&[member("0/a.png", &image), member("0/a.cls", b"dog")]),
    );
    shard(
        "third",
        &tar(&[member("0/a.png", &image), member("0/a.cls", b"2")]),
    );
    shard("twins", &sound);
    place.write("twins/train-000001.tar", &sound);
    shard("gap", &sound);
    place.write("gap/train-000002.tar", &sound);
    shard("described", &sound);
    place.write("described/pack.json", "{");
    place.write("empty/readme.txt", "");
    place.write(
        "kitless/ILSVRC2012_img_train.tar",
        tar(&[member("n1.tar", &sound)]),
    );
    place.write("kitless/ILSVRC2012_img_val.tar", &sound);
    place.write(
        "cut-class/ILSVRC2012_img_train.tar",
        tar(&[member("n1.tar", &sound[..700])]),
    );
    place.write("folders/train/cat/a.png", &image);
    place.write("folders/train/cat/a.jpg", &image);
    place.write("others/train-000000.tar", &sound);
    let told = told(
        &place,
        1,
        [
            "stats --shards cut",
            "stats --shards between",
            "stats --shards stranger",
            "stats --shards classless",
            "stats --shards named",
            "stats --shards third",
            "stats --shards twins",
            "stats --shards gap",
            "stats --shards described",
            "stats --shards empty",
            "stats --shards nowhere",
            "stats --ilsvrc kitless",
            "stats --ilsvrc cut-class",
            "stats --ilsvrc empty",
            "pack --folder folders --output packed",
            "pack --shards others --output others",
            "pack --dataset digits --output packed",
        ],
    );
    insta::assert_snapshot!(told);
}

/// The start of a gzip file that holds these bytes as they are, without its end.
fn gzip_that_ends_early(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let length = bytes.len() as u16 + 100;
    file.push(1);
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(bytes);
    file
}

/// A recipe for images of 8x8 in a user's own files.
fn own(dataset: &str) -> String {
    format!(
        "model = \"resnet8\"\ndataset = {dataset}\nbatch = 2\nlength = {{ epochs = 1 }}\n\
         [optimizer.sgd]\n[schedule.constant]\nrate = 0.1\n"
    )
}

#[test]
fn files_of_the_user_that_are_damaged() {
    let place = Place::new();
    let tensors = |name: &str, bytes: &[u8]| {
        place.write(&format!("{name}.safetensors"), bytes);
        let table = format!("{{ tensors = \"{name}.safetensors\" }}");
        place.write(&format!("{name}.toml"), own(&table));
    };
    let floats = |count: usize| vec![0; 4 * count];
    tensors("garbage", b"not a safetensors file");
    tensors(
        "cut",
        &images_and_labels([4, 1, 8, 8], &[0.5; 256], &[0, 1, 0, 1])[..900],
    );
    tensors(
        "unlabelled",
        &safetensors(&[("images", "F32", &[4, 1, 8, 8], floats(256))]),
    );
    tensors(
        "flat",
        &safetensors(&[
            ("images", "F32", &[4, 64], floats(256)),
            ("labels", "I64", &[4], vec![0; 32]),
        ]),
    );
    tensors(
        "bytes",
        &safetensors(&[
            ("images", "U8", &[4, 1, 8, 8], vec![0; 256]),
            ("labels", "I64", &[4], vec![0; 32]),
        ]),
    );
    tensors(
        "fewer",
        &images_and_labels([4, 1, 8, 8], &[0.5; 256], &[0, 1, 0]),
    );
    tensors(
        "negative",
        &images_and_labels([4, 1, 8, 8], &[0.5; 256], &[0, 1, -1, 1]),
    );
    tensors("none", &images_and_labels([0, 1, 8, 8], &[], &[]));
    tensors("thin", &images_and_labels([4, 1, 8, 0], &[], &[0, 1, 0, 1]));
    place.write("missing.toml", own("{ tensors = \"missing.safetensors\" }"));

    place.write("no_idx.toml", own("{ idx = \"nowhere\" }"));
    place.write(
        "images/train-images-idx3-ubyte",
        [
            &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1][..],
            &[7, 7],
        ]
        .concat(),
    );
    place.write(
        "images/train-labels-idx1-ubyte",
        [0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2],
    );
    place.write("fewer_images.toml", own("{ idx = \"images\" }"));

    place.write("no_folder.toml", own("{ folder = \"nowhere\" }"));
    place.write("unsorted/train/cat.png", png(8, 8, &[0; 64]));
    place.write("unsorted.toml", own("{ folder = \"unsorted\" }"));
    place.write("empty/train/cat/1.jpg", "");
    place.write("empty.toml", own("{ folder = \"empty\" }"));
    place.write("case/train/cat/1.png", png(8, 8, &[0; 64]));
    place.write("case/train/Cat/1.png", png(8, 8, &[0; 64]));
    place.write("case.toml", own("{ folder = \"case\" }"));
    place.write("no_images/train/cat/1.png", png(8, 8, &[0; 64]));
    place.write("no_images/train/dog/readme.txt", "");
    place.write("no_images.toml", own("{ folder = \"no_images\" }"));
    place.write("text/train/cat/1.png", "not an image");
    place.write("text.toml", own("{ folder = \"text\" }"));
    place.write("classes/train/cat/1.png", png(8, 8, &[0; 64]));
    place.write("classes/test/dog/1.png", png(8, 8, &[0; 64]));
    place.write("classes.toml", own("{ folder = \"classes\" }"));
    let names = [
        "garbage",
        "cut",
        "unlabelled",
        "flat",
        "bytes",
        "fewer",
        "negative",
        "none",
        "thin",
        "missing",
        "no_idx",
        "fewer_images",
        "no_folder",
        "unsorted",
        "empty",
        "case",
        "no_images",
        "text",
        "classes",
    ];
    let lines = names.map(|name| format!("--config {name}.toml"));
    insta::assert_snapshot!(told(&place, 1, lines.iter().map(String::as_str)));
}

/// What only shows when the data is open is a mistake in the recipe all the same.
#[test]
fn recipes_that_do_not_fit_the_users_data() {
    let place = Place::new();
    place.write(
        "own.safetensors",
        images_and_labels([4, 1, 8, 8], &[0.5; 256], &[0, 1, 0, 1]),
    );
    place.write("own.toml", own("{ tensors = \"own.safetensors\" }"));
    place.write("sizes/train/cat/1.png", png(8, 8, &[0; 64]));
    place.write("sizes/train/dog/2.png", png(8, 9, &[0; 72]));
    place.write("sizes.toml", own("{ folder = \"sizes\" }"));
    let told = told(
        &place,
        2,
        [
            "--config own.toml --set batch=5",
            "--config own.toml --set model=lenet5",
            "--config own.toml --set validation.images=4",
            "--config own.toml --set augment.train=[{random_crop={size=9,padding=0}}]",
            "--config sizes.toml",
        ],
    );
    insta::assert_snapshot!(told);
}

#[test]
fn weights_that_cannot_be_used() {
    let place = Place::new();
    let run = place.finished_run("donor", "--config small.toml --set length.steps=1");
    let weights = run.bytes("model.safetensors");
    place.write("resnet8.safetensors", &weights);
    place.write("cut.safetensors", &weights[..weights.len() / 2]);
    place.write("garbage.pth", "not a PyTorch file");
    place.write("notes.txt", "");
    place.write("resnet8.onnx", "");
    place.write("empty.safetensors", safetensors(&[]));
    place.write(
        "integers.safetensors",
        safetensors(&[("fc.weight", "I64", &[1], vec![0; 8])]),
    );
    place.write("nan.safetensors", with_a_nan(&weights));
    place.write(
        "own.safetensors",
        images_and_labels([4, 1, 8, 8], &[0.5; 256], &[0, 1, 2, 1]),
    );
    place.write("own.toml", own("{ tensors = \"own.safetensors\" }"));
    let told = told(
        &place,
        1,
        [
            "eval --model resnet20 --weights resnet8.safetensors --dataset digits",
            "eval --model lenet5 --weights resnet8.safetensors --dataset digits",
            "eval --model resnet8 --weights missing.safetensors --dataset digits",
            "eval --model resnet8 --weights cut.safetensors --dataset digits",
            "eval --model resnet8 --weights garbage.pth --dataset digits",
            "eval --model resnet8 --weights notes.txt --dataset digits",
            "eval --model resnet8 --weights resnet8.onnx --dataset digits",
            "eval --model resnet8 --weights empty.safetensors --dataset digits",
            "eval --model resnet8 --weights integers.safetensors --dataset digits",
            "eval --model resnet8 --weights nan.safetensors --dataset digits",
            "--config own.toml --set init=missing.safetensors",
            "--config small.toml --set init=cut.safetensors",
        ],
    );
    insta::assert_snapshot!(told);
}

/// Files that are made to do harm, from `tests/goldens/weights.py`.
#[test]
fn weights_that_are_a_trap() {
    let place = Place::new();
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/weights");
    let names = [
        "bomb",
        "code",
        "code_inside",
        "expanded",
        "integers",
        "petabytes",
        "pickle_bomb",
        "twice",
    ];
    for name in names {
        let file = format!("{name}.pth");
        place.write(&file, fs::read(goldens.join(&file)).unwrap());
    }
    let layer = fs::read(goldens.join("layer.pth")).unwrap();
    place.write("cut.pth", &layer[..layer.len() / 2]);
    place.write("empty.pth", "");
    place.write("empty.safetensors", "");
    place.write("text.safetensors", "I am a text file.");
    fs::create_dir(place.path("folder.safetensors")).unwrap();
    place.write_sparse("huge.safetensors", &[], 1 << 33);
    place.write("repeated.safetensors", with_a_repeated_name());
    let files = names.map(|name| format!("{name}.pth")).into_iter().chain(
        [
            "cut.pth",
            "empty.pth",
            "empty.safetensors",
            "text.safetensors",
            "folder.safetensors",
            "huge.safetensors",
            "repeated.safetensors",
        ]
        .map(String::from),
    );
    let lines: Vec<String> = files
        .map(|file| format!("eval --model resnet8 --weights {file} --dataset digits"))
        .collect();
    insta::assert_snapshot!(told(&place, 1, lines.iter().map(String::as_str)));
    assert!(!place.path("executed").exists());
}

/// Two entries of one name and one place.
fn with_a_repeated_name() -> Vec<u8> {
    let entry = r#""fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let header = format!("{{{entry},{entry}}}");
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &[0; 8]].concat()
}

#[cfg(unix)]
#[test]
fn weights_without_an_end() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/zero", place.path("endless.pth")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("dangling.pth")).unwrap();
    let told = told(
        &place,
        1,
        [
            "eval --model resnet8 --weights endless.pth --dataset digits",
            "eval --model resnet8 --weights dangling.pth --dataset digits",
            "--config small.toml --set init=endless.pth",
        ],
    );
    insta::assert_snapshot!(told);
}

/// The same file, its last value not a number.
fn with_a_nan(weights: &[u8]) -> Vec<u8> {
    let (head, _) = weights.split_at(weights.len() - 4);
    [head, &f32::NAN.to_le_bytes()].concat()
}

#[test]
fn networks_for_other_images() {
    let place = Place::new();
    let images = |name: &str, [channels, side]: [usize; 2]| {
        let pixels = vec![0.5; 10 * channels * side * side];
        let labels: Vec<i64> = (0..10).collect();
        let file = format!("{name}.safetensors");
        place.write(
            &file,
            images_and_labels([10, channels, side, side], &pixels, &labels),
        );
        place.write(
            &format!("{name}.toml"),
            own(&format!("{{ tensors = \"{file}\" }}")),
        );
    };
    images("colour", [3, 8]);
    images("large", [1, 28]);
    images("larger", [1, 32]);
    place.finished_run("colour", "--config colour.toml");
    place.finished_run("large", "--config large.toml --set model=lenet5");
    // Trained on parts of 28x28, without a test split on which it would fail.
    place.finished_run("parts", "--config larger.toml --set model=lenet5 --set augment.train=[{random_crop={size=28,padding=0}}]");
    place.write("dot.png", png(1, 1, &[255]));
    let told = told(
        &place,
        2,
        [
            "eval --run colour --dataset digits",
            "eval --run large --dataset digits",
            "eval --model lenet5 --weights large/model.safetensors --dataset digits",
            "eval --run parts --split train",
            "predict --run parts dot.png",
            "convert --run parts --output parts.onnx",
            "eval --run colour --split train --mean 0.5",
        ],
    );
    insta::assert_snapshot!(told);
}

#[test]
fn runs_that_are_none() {
    let place = Place::new();
    let line = "--config small.toml --set length.steps=2 --set checkpoint.every.steps=1";
    place
        .train_with(
            &[
                &line.split(' ').collect::<Vec<_>>()[..],
                &["--run-dir", "mine"],
            ]
            .concat(),
        )
        .is(0);
    let unvalidated = SMALL.replace("validation = { images = 100 }\n", "");
    place.write("unvalidated.toml", unvalidated);
    place.finished_run(
        "unvalidated",
        "--config unvalidated.toml --set length.steps=1",
    );
    place.write("text.png", "not an image");
    place.write("empty/notes.txt", "");
    place.write("dot.png", png(1, 1, &[255]));
    let run = place.run("broken");
    fs::create_dir(&*run).unwrap();
    fs::write(run.join("plan.toml"), "model = ").unwrap();
    let journal = String::from_utf8(place.run("mine").bytes("journal.jsonl")).unwrap();
    copy_run(&place, "mine", "torn");
    place.write(
        "torn/journal.jsonl",
        journal.replacen("{\"event\":\"step\"", "{\"event\"step\"", 1),
    );
    let told = told(
        &place,
        1,
        [
            "eval --run nowhere",
            "eval --run broken",
            "predict --run nowhere dot.png",
            "report --run nowhere",
            "report --run torn",
            "eval --run unvalidated --checkpoint best",
            "predict --run mine text.png",
            "predict --run mine missing.png",
            "predict --run mine empty",
            "predict --run mine --input small.toml --output y.safetensors",
        ],
    );
    insta::assert_snapshot!(told);
    place.train("predict --run mine dot.png").is(0);
}

fn copy_run(place: &Place, from: &str, to: &str) {
    fs::create_dir(place.path(to)).unwrap();
    for file in ["plan.toml", "journal.jsonl"] {
        fs::copy(place.path(from).join(file), place.path(to).join(file)).unwrap();
    }
}

/// `train list | head -1`
#[test]
fn a_reader_that_has_enough_is_no_error() {
    let place = Place::new();
    for line in ["list", "describe resnet20", "list --format json"] {
        let said = place.start(line).unheard().wait();
        assert_eq!(
            (said.code, said.stderr.as_str()),
            (Some(0), ""),
            "train {line}"
        );
    }
}

#[test]
fn a_run_goes_on_where_nobody_listens() {
    let place = Place::new();
    let said = place
        .start("--config small.toml --run-dir run")
        .unheard()
        .wait()
        .is(0);
    assert_eq!(said.stderr, "");
    assert!(place.run("run").join("report.html").exists());
    // Nobody hears the error either.
    place
        .start("--config small.toml --run-dir run")
        .unheard()
        .wait()
        .is(2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = place.command().arg("list").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        without_numbers(&String::from_utf8_lossy(&output.stderr)),
        "error: cannot write to stdout\n  caused by: No space left on device\n"
    );
}

/// Two processes that know nothing of each other would write into one folder.
#[cfg(not(feature = "mpi"))]
#[test]
fn several_processes_without_mpi_are_refused() {
    let place = Place::new();
    for size in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
        let mut command = place.command();
        command.args(["--config", "small.toml"]).env(size, "2");
        support::Running::of(&mut command)
            .wait()
            .is(2)
            .says("error: cannot train in 2 processes")
            .says(
                "hint: build it with MPI, `cargo build -p train --features mpi`, or add `--alone`",
            );
    }
    assert!(!place.path("runs").exists());

    let mut command = place.command();
    command.args(["reproduce", "lecun1998-mnist"]);
    support::Running::of(command.env("PMI_SIZE", "2"))
        .wait()
        .is(2)
        .says("error: this command was started 2 times, and all would write the same files");

    let mut command = place.command();
    command.args([
        "--config",
        "small.toml",
        "--set",
        "length.steps=1",
        "--alone",
    ]);
    support::Running::of(command.env("PMI_SIZE", "2"))
        .wait()
        .is(0);
}
