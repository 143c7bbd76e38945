// Multiplier of an ECP5 DSP slice.
//
// Source: Lattice FPGA-TN-02205, "ECP5 and ECP5-5G sysDSP Usage Guide". Pins of what is not modelled are not there, so that a netlist
// that uses them does not build: CLK1..3, CE1..3, RST1..3, the shift registers SRI and SRO, the copies ROA, ROB, ROC, and SIGNEDP.

// Product of A and B, each signed or not. Behind both operands (INPUTA, INPUTB), within the multiplier (PIPELINE) and behind the
// product (OUTPUT) there is a register each if its REG_.._CLK is CLK0. At the edge RST0 clears all of them, and they wait while CE0
// is low. C belongs to a pre-adder that nothing here switches on.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0",
    parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0",
    parameter REG_INPUTC_CLK = "NONE", REG_INPUTC_CE = "CE0", REG_INPUTC_RST = "RST0",
    parameter REG_PIPELINE_CLK = "NONE", REG_PIPELINE_CE = "CE0", REG_PIPELINE_RST = "RST0",
    parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0",
    parameter CLK0_DIV = "ENABLED", CLK1_DIV = "ENABLED", CLK2_DIV = "ENABLED", CLK3_DIV = "ENABLED",
    parameter HIGHSPEED_CLK = "NONE", GSR = "ENABLED", CAS_MATCH_REG = "FALSE", SOURCEB_MODE = "B_SHIFT",
    parameter MULT_BYPASS = "DISABLED", RESETMODE = "SYNC"
) (
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18, P19, P20, P21, P22, P23, P24, P25,
        P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
    localparam IN_A = REG_INPUTA_CLK == "CLK0", IN_B = REG_INPUTB_CLK == "CLK0";
    localparam PIPELINE = REG_PIPELINE_CLK == "CLK0", OUT = REG_OUTPUT_CLK == "CLK0";

    if (!IN_A && REG_INPUTA_CLK != "NONE" || !IN_B && REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE"
        || !PIPELINE && REG_PIPELINE_CLK != "NONE" || !OUT && REG_OUTPUT_CLK != "NONE")
        $fatal(1, "MULT18X18D: REG_.._CLK must be NONE or CLK0, REG_INPUTC_CLK NONE");
    if (REG_INPUTA_CE != "CE0" || REG_INPUTB_CE != "CE0" || REG_PIPELINE_CE != "CE0" || REG_OUTPUT_CE != "CE0")
        $fatal(1, "MULT18X18D: REG_.._CE must be CE0");
    if (REG_INPUTA_RST != "RST0" || REG_INPUTB_RST != "RST0" || REG_PIPELINE_RST != "RST0" || REG_OUTPUT_RST != "RST0")
        $fatal(1, "MULT18X18D: REG_.._RST must be RST0");
    if (CLK0_DIV != "ENABLED" || HIGHSPEED_CLK != "NONE" || CAS_MATCH_REG != "FALSE" || MULT_BYPASS != "DISABLED" || RESETMODE != "SYNC")
        $fatal(1, "MULT18X18D: CLK0_DIV, HIGHSPEED_CLK, CAS_MATCH_REG, MULT_BYPASS, RESETMODE must be those of a plain multiplier");
    always_comb if (SOURCEA || SOURCEB) $fatal(1, "MULT18X18D: SOURCEA and SOURCEB must be 0");

    wire [17:0] a_pins = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b_pins = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};

    // A 19th bit makes unsigned numbers signed.
    wire signed [18:0] a = {SIGNEDA & A17, a_pins};
    wire signed [18:0] b = {SIGNEDB & B17, b_pins};
    reg signed [18:0] a_q = 0, b_q = 0;
    wire signed [18:0] a_in = IN_A ? a_q : a;
    wire signed [18:0] b_in = IN_B ? b_q : b;
    wire [35:0] product = 36'(38'(a_in) * 38'(b_in));
    reg [35:0] pipeline_q = 0, out_q = 0;
    wire [35:0] pipelined = PIPELINE ? pipeline_q : product;
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13,
        P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = OUT ? out_q : pipelined;

    if (IN_A || IN_B || PIPELINE || OUT) begin
        reg [1:0] signs;
        reg known = 0;
        always @(posedge CLK0) begin
            if (RST0) begin
                a_q <= 0;
                b_q <= 0;
                pipeline_q <= 0;
                out_q <= 0;
            end else if (CE0) begin
                a_q <= a;
                b_q <= b;
                pipeline_q <= product;
                out_q <= pipelined;
            end
            // Whether a sign waits with its operand is not modelled.
            signs <= {SIGNEDA, SIGNEDB};
            known <= 1;
            if (known && signs != {SIGNEDA, SIGNEDB}) $fatal(1, "MULT18X18D: SIGNEDA and SIGNEDB must not change");
        end
    end
endmodule
