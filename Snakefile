# Gyre: fetch -> preprocess -> label -> train -> predict -> score -> report.
#   snakemake --cores 2              everything that config/config.yaml names
#   snakemake --cores 2 scores       leaderboards only          (also: figures, demo)
#   snakemake -n                     what would be done
# Paths, targets and staleness come from pipeline_lib/plan.py; the rules only name wildcards.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/preprocess.smk"
include: "rules/label.smk"
include: "rules/train.smk"
include: "rules/predict.smk"
include: "rules/score.smk"
include: "rules/report.smk"


# On a cluster these run where Snakemake was started; fetch, because compute nodes often have no network.
localrules:
    all,
    scores,
    figures,
    demo,
    fetch,


rule all:
    default_target: True
    input:
        PLAN.targets("all"),


rule scores:
    input:
        PLAN.targets("scores"),


rule figures:
    input:
        PLAN.targets("figures"),


rule demo:
    input:
        PLAN.targets("all", ["eddies-mediterranean"]),
